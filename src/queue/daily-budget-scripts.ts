/**
 * The scripts behind daily-budget.ts. KEYS of each: one hash per budget.
 * Whole numbers only: `HINCRBY` refuses others in the middle of a script, which is not taken back, and an answer loses them.
 */

/** Gives back what was spent, as long as less than a whole budget was given back on that day: what is really spent has a bound, whatever fails. */
const giveBack = `
local function giveBack(key, amounts, limits)
  for number, unit in ipairs({ 'cost', 'tokens' }) do
    local spent = tonumber(redis.call('HGET', key, unit) or '0')
    local before = tonumber(redis.call('HGET', key, 'refunded:' .. unit) or '0')
    local amount = math.min(amounts[number], spent, math.max(0, limits[number] - before))
    if amount > 0 then
      redis.call('HINCRBY', key, unit, -amount)
      redis.call('HINCRBY', key, 'refunded:' .. unit, amount)
    end
  end
end
`;

/**
 * The hashes have the sums `cost` (millionths of a USD) and `tokens`, and `run:<share>` for each share.
 * ARGV: share, job id, token, prefix of BullMQ's job keys, seconds to keep, wanted cost (-1: not looked at) and tokens,
 * then the limit of cost and of tokens for each hash. Sets aside in all hashes or in none; returns 1 or 0, then what was
 * left of cost and tokens in each. An earlier share of the same job is of a worker that is lost.
 */
export const openScript = `${giveBack}
local wants = { cost = tonumber(ARGV[6]), tokens = tonumber(ARGV[7]) }
local share = { job = ARGV[2], token = ARGV[3], cost = 0, tokens = 0, held = { cost = math.max(0, wants.cost), tokens = wants.tokens } }
local answer = { 1 }
for index, key in ipairs(KEYS) do
  local held = { cost = 0, tokens = 0 }
  local fields = redis.call('HGETALL', key)
  for at = 1, #fields, 2 do
    if string.sub(fields[at], 1, 4) == 'run:' then
      local run = cjson.decode(fields[at + 1])
      if redis.call('GET', ARGV[4] .. run.job .. ':lock') == run.token then
        held.cost = held.cost + run.held.cost
        held.tokens = held.tokens + run.held.tokens
      elseif run.job == ARGV[2] then
        redis.call('HDEL', key, fields[at])
        giveBack(key, { run.cost, run.tokens }, { tonumber(ARGV[6 + 2 * index]), tonumber(ARGV[7 + 2 * index]) })
      end
    end
  end
  for number, unit in ipairs({ 'cost', 'tokens' }) do
    local spent = tonumber(redis.call('HGET', key, unit) or '0')
    local limit = tonumber(ARGV[5 + 2 * index + number])
    local left = math.max(0, limit - spent - held[unit])
    -- A run that gets less than a tenth of what it wants would end with nothing done: it waits instead.
    local least = math.min(wants[unit], limit) / 10
    if wants[unit] >= 0 and (left == 0 or left < least) then answer[1], left = 0, 0 end
    share.held[unit] = math.min(share.held[unit], left)
    answer[#answer + 1] = left
  end
end
if answer[1] == 1 then
  for _, key in ipairs(KEYS) do
    redis.call('HSET', key, 'run:' .. ARGV[1], cjson.encode(share))
    redis.call('EXPIRE', key, ARGV[5])
  end
end
return answer
`;

/**
 * ARGV: share, what it has spent so far (cost, tokens), 1 when it is closed.
 * What is more than was told before is added to the sums. A share that is not there was closed.
 */
export const tellScript = `
for _, key in ipairs(KEYS) do
  local text = redis.call('HGET', key, 'run:' .. ARGV[1])
  if text then
    local run = cjson.decode(text)
    for number, unit in ipairs({ 'cost', 'tokens' }) do
      local more = math.max(0, tonumber(ARGV[1 + number]) - run[unit])
      if more > 0 then redis.call('HINCRBY', key, unit, more) end
      run[unit] = run[unit] + more
      run.held[unit] = math.max(0, run.held[unit] - more)
    end
    if ARGV[4] == '1' then redis.call('HDEL', key, 'run:' .. ARGV[1])
    else redis.call('HSET', key, 'run:' .. ARGV[1], cjson.encode(run)) end
  end
end
`;

/** ARGV: cost and tokens to give back, then the limit of cost and of tokens for each hash. */
export const refundScript = `${giveBack}
for index, key in ipairs(KEYS) do
  giveBack(key, { tonumber(ARGV[1]), tonumber(ARGV[2]) }, { tonumber(ARGV[1 + 2 * index]), tonumber(ARGV[2 + 2 * index]) })
end
`;
