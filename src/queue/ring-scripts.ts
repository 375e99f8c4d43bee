/**
 * The scripts of the ring; what they are for says ring.ts. Each runs as one step of Redis.
 *
 * Keys, all under one prefix: `jobs` and `granted` (hashes, job id -> entry as JSON: i, r, u are the ids of installation,
 * repository and user); `i`, `r:<i>`, `u:<i>:<r>` (sorted sets of whose turn it is, those served longest ago first);
 * `l:<i>:<r>:<u>` (sorted set of job ids in their order of arrival); `served` (when each of them had its last turn, also
 * while nothing of it waits, so that coming one by one is no way to the front); `count:...` (runs that began in this hour
 * or day); `hold:r:<r>`, `hold:i:<i>` (nothing of it begins before a moment); `hands` (worker -> its hands and until when
 * they count); `version`, `seq`, `turns`.
 *
 * The clock is that of Redis: one for all workers, however wrong theirs are.
 *
 * ARGV of each: prefix of the keys, prefix of BullMQ's keys, ms to add to the clock, the operator's limits as JSON, then
 * its own.
 */
const shared = `
local base, bull, limits = ARGV[1], ARGV[2], cjson.decode(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[3])
local hour, day = 3600000, 86400000
local function decode(text)
  local ok, value = pcall(cjson.decode, text)
  return ok and type(value) == 'table' and value or nil
end
-- What has not this form stops no one: a sweep writes it anew.
local form = { i = 'string', r = 'string', u = 'string', runId = 'string', issue = 'number', seq = 'number', limits = 'table' }
local function entryOf(text)
  local job = decode(text)
  if not job then return nil end
  for name, kind in pairs(form) do if type(job[name]) ~= kind then return nil end end
  for _, limit in pairs(job.limits) do if type(limit) ~= 'number' then return nil end end
  if job.hold ~= nil and (type(job.hold) ~= 'table' or type(job.hold.freeAt) ~= 'number') then return nil end
  if job.counted ~= nil and type(job.counted) ~= 'table' then return nil end
  return job
end
local function get(name, id) return entryOf(redis.call('HGET', base .. name, id)) end
local function bump() redis.call('INCR', base .. 'version') end
local function usersKey(job) return base .. 'u:' .. job.i .. ':' .. job.r end
local function lineKey(job) return base .. 'l:' .. job.i .. ':' .. job.r .. ':' .. job.u end
-- Those of whom nothing is known come first, in their order of arrival: less than any turn.
local function servedAt(name, job) return redis.call('ZSCORE', base .. 'served', name) or job.seq / 1e15 end
local function stand(id, job)
  redis.call('HSET', base .. 'jobs', id, cjson.encode(job))
  redis.call('ZADD', lineKey(job), job.seq, id)
  redis.call('ZADD', usersKey(job), 'NX', servedAt('u:' .. job.i .. ':' .. job.r .. ':' .. job.u, job), job.u)
  redis.call('ZADD', base .. 'r:' .. job.i, 'NX', servedAt('r:' .. job.i .. ':' .. job.r, job), job.r)
  redis.call('ZADD', base .. 'i', 'NX', servedAt('i:' .. job.i, job), job.i)
  bump()
end
local function step(id, job)
  redis.call('HDEL', base .. 'jobs', id)
  redis.call('ZREM', lineKey(job), id)
  if redis.call('EXISTS', lineKey(job)) == 0 then redis.call('ZREM', usersKey(job), job.u) end
  if redis.call('EXISTS', usersKey(job)) == 0 then redis.call('ZREM', base .. 'r:' .. job.i, job.r) end
  if redis.call('EXISTS', base .. 'r:' .. job.i) == 0 then redis.call('ZREM', base .. 'i', job.i) end
  bump()
end
local function uncount(job)
  for _, key in ipairs(job.counted or {}) do
    if tonumber(redis.call('GET', key) or '0') > 0 then redis.call('DECR', key) end
  end
  job.counted = nil
end
local function userCount(job) return base .. 'count:u:' .. job.i .. ':' .. job.u .. ':' .. math.floor(now / hour) end
local function repositoryCount(job) return base .. 'count:r:' .. job.r .. ':' .. math.floor(now / day) end
local function holdOf(name)
  local hold = decode(redis.call('GET', base .. 'hold:' .. name))
  return hold and type(hold.freeAt) == 'number' and hold.freeAt > now and hold or nil
end
local function handsNow()
  local total = 0
  local fields = redis.call('HGETALL', base .. 'hands')
  for at = 1, #fields, 2 do
    local hands = decode(fields[at + 1])
    if hands and (tonumber(hands.freeAt) or 0) > now then total = total + (tonumber(hands.number) or 0)
    else redis.call('HDEL', base .. 'hands', fields[at]) end
  end
  return total
end
`;

/** ARGV: worker, how many hands it has, for how many ms they count. */
export const offerScript = `${shared}
redis.call('HSET', base .. 'hands', ARGV[5], cjson.encode({ number = tonumber(ARGV[6]), freeAt = now + tonumber(ARGV[7]) }))
`;

/** ARGV: job id, entry without `seq`. Nothing happens to one that is known. */
export const enterScript = `${shared}
if get('jobs', ARGV[5]) or redis.call('HEXISTS', base .. 'granted', ARGV[5]) == 1 then return 0 end
local job = cjson.decode(ARGV[6])
job.seq = redis.call('INCR', base .. 'seq')
stand(ARGV[5], job)
return 1
`;

/**
 * ARGV: job id, pause of this job or '', pause of its repository or installation or '', 'r' or 'i', '1' when its count
 * is given back, a key. Returns 0, and does nothing, when there is that key. A granted job stands again where it stood;
 * its slots are free.
 */
export const parkScript = `${shared}
local id = ARGV[5]
if redis.call('EXISTS', ARGV[10]) == 1 then return 0 end
local function holdFor(text)
  local pause = text ~= '' and cjson.decode(text)
  return pause and { limit = pause.limit, freeAt = math.min(pause.freeAt or math.huge, now + (pause.pauseMs or math.huge)) } or nil
end
local job = get('granted', id) or get('jobs', id)
redis.call('HDEL', base .. 'granted', id)
if not job then return 1 end
job.hold = holdFor(ARGV[6])
local all = holdFor(ARGV[7])
if all then redis.call('SET', base .. 'hold:' .. ARGV[8] .. ':' .. job[ARGV[8]], cjson.encode(all), 'PX', math.max(1, all.freeAt - now)) end
if ARGV[9] == '1' then uncount(job) end
stand(id, job)
return 1
`;

/**
 * ARGV: job id, '1' when its count is given back, then, of a run that is over, a key that says so, what it says, and for
 * how many seconds: written in the same step, because a worker may die before BullMQ knows. What a run did not spend is
 * there for others, so holds are tried again.
 */
export const releaseScript = `${shared}
local id = ARGV[5]
if ARGV[7] then redis.call('SET', ARGV[7], ARGV[8], 'EX', ARGV[9]) end
local job = get('granted', id) or get('jobs', id)
redis.call('HDEL', base .. 'granted', id)
if not job then
  redis.call('HDEL', base .. 'jobs', id)
  return 0
end
step(id, job)
if ARGV[6] == '1' then uncount(job) end
redis.call('DEL', base .. 'hold:r:' .. job.r, base .. 'hold:i:' .. job.i)
return 1
`;

/**
 * Gives free slots to those whose turn it is. Returns in how many ms something is free that waits for a moment (-1: nothing does),
 * then the ids that BullMQ has to promote: also those of an earlier call whose caller died before it did.
 */
export const turnScript = `${shared}
local promote, busy, subjects, taken, nextAt = {}, { i = {}, r = {} }, {}, 0, 0
local function subjectOf(job) return job.r .. ' ' .. job.issue end
local function occupy(job, number)
  taken = taken + number
  subjects[subjectOf(job)] = true
  for _, kind in ipairs({ 'i', 'r' }) do busy[kind][job[kind]] = (busy[kind][job[kind]] or 0) + number end
end
local function later(at) if nextAt == 0 or at < nextAt then nextAt = at end end
local function held(name)
  local hold = holdOf(name)
  if hold then later(hold.freeAt) end
  return hold
end
local fields = redis.call('HGETALL', base .. 'granted')
for at = 1, #fields, 2 do
  local id = fields[at]
  if redis.call('EXISTS', bull .. id) == 0 or redis.call('HEXISTS', bull .. id, 'finishedOn') == 1 then
    redis.call('HDEL', base .. 'granted', id)
    bump()
  else
    local job = entryOf(fields[at + 1])
    if job then occupy(job, 1) else taken = taken + 1 end
    if redis.call('ZSCORE', bull .. 'delayed', id) then promote[#promote + 1] = id end
  end
end
local function allowed(job, name) return math.min(limits[name], job.limits[name] or limits[name]) end
local function isFull(job)
  return (busy.r[job.r] or 0) >= allowed(job, 'perRepository') or (busy.i[job.i] or 0) >= allowed(job, 'perInstallation')
end
local function isOver(job)
  if job.counted then return false end
  if tonumber(redis.call('GET', userCount(job)) or '0') >= allowed(job, 'perUserAndHour') then later((math.floor(now / hour) + 1) * hour) return true end
  if tonumber(redis.call('GET', repositoryCount(job)) or '0') >= allowed(job, 'perRepositoryAndDay') then later((math.floor(now / day) + 1) * day) return true end
  return false
end
local function pickOf(i, r, u)
  for _, id in ipairs(redis.call('ZRANGE', base .. 'l:' .. i .. ':' .. r .. ':' .. u, 0, -1)) do
    local job = get('jobs', id)
    if redis.call('EXISTS', bull .. id) == 0 then step(id, { i = i, r = r, u = u })
    -- Two runs of one issue or pull request would begin at the same head, and one of them for nothing.
    elseif job and not subjects[subjectOf(job)] then
      if isFull(job) then return nil end
      if not job.hold or job.hold.freeAt <= now then
        if isOver(job) then return nil end
        return id, job
      end
      later(job.hold.freeAt)
    end
  end
end
local function pick()
  for _, i in ipairs(redis.call('ZRANGE', base .. 'i', 0, -1)) do
    if (busy.i[i] or 0) < limits.perInstallation and not held('i:' .. i) then
      for _, r in ipairs(redis.call('ZRANGE', base .. 'r:' .. i, 0, -1)) do
        if (busy.r[r] or 0) < limits.perRepository and not held('r:' .. r) then
          for _, u in ipairs(redis.call('ZRANGE', base .. 'u:' .. i .. ':' .. r, 0, -1)) do
            local id, job = pickOf(i, r, u)
            if id then return id, job end
          end
        end
      end
    end
  end
end
local function grant(id, job)
  step(id, job)
  job.hold = nil
  if not job.counted then
    job.counted = { userCount(job), repositoryCount(job) }
    for index, key in ipairs(job.counted) do
      redis.call('INCR', key)
      redis.call('EXPIRE', key, index * day / 1000)
    end
  end
  redis.call('HSET', base .. 'granted', id, cjson.encode(job))
  local turn = redis.call('INCR', base .. 'turns')
  redis.call('ZADD', base .. 'served', turn, 'i:' .. job.i, turn, 'r:' .. job.i .. ':' .. job.r, turn, 'u:' .. job.i .. ':' .. job.r .. ':' .. job.u)
  redis.call('ZREMRANGEBYRANK', base .. 'served', 0, -10001)
  redis.call('ZADD', base .. 'i', 'XX', turn, job.i)
  redis.call('ZADD', base .. 'r:' .. job.i, 'XX', turn, job.r)
  redis.call('ZADD', usersKey(job), 'XX', turn, job.u)
  occupy(job, 1)
  promote[#promote + 1] = id
end
local hands = handsNow()
while taken < hands do
  local id, job = pick()
  if not id then break end
  grant(id, job)
end
return { string.format('%.0f', nextAt == 0 and -1 or math.max(0, nextAt - now)), unpack(promote) }
`;

/**
 * Returns the ids of BullMQ's jobs that wait for the ring, and of which the ring knows nothing, or nothing readable. A crash
 * between the two leaves one, a loss of the ring all. What is not readable and of no job is dropped.
 */
export const straysScript = `${shared}
local strays = {}
for _, id in ipairs(redis.call('HKEYS', base .. 'jobs')) do
  if redis.call('EXISTS', bull .. id) == 0 and not get('jobs', id) then redis.call('HDEL', base .. 'jobs', id) end
end
for _, id in ipairs(redis.call('ZRANGE', bull .. 'delayed', 0, -1)) do
  if not get('jobs', id) and redis.call('HEXISTS', base .. 'granted', id) == 0 then strays[#strays + 1] = id end
end
return strays
`;

/** Everything that decides who is next. Returns version, hands, now, then lists of pairs: waiting, granted, scores, holds, counts; then the granted ids that a worker has. */
export const snapshotScript = `${shared}
local scores, holds, counts, working = {}, {}, {}, {}
local function note(list, name, value) list[#list + 1] = name; list[#list + 1] = value end
local function noteHold(name)
  local hold = holdOf(name)
  if hold then note(holds, name, cjson.encode(hold)) end
end
local function members(name)
  local pairs, names = redis.call('ZRANGE', base .. name, 0, -1, 'WITHSCORES'), {}
  for at = 1, #pairs, 2 do
    note(scores, name .. ':' .. pairs[at], pairs[at + 1])
    names[#names + 1] = pairs[at]
  end
  return names
end
for _, i in ipairs(members('i')) do
  noteHold('i:' .. i)
  for _, r in ipairs(members('r:' .. i)) do
    noteHold('r:' .. r)
    note(counts, 'r:' .. r, redis.call('GET', repositoryCount({ r = r })) or '0')
    for _, u in ipairs(members('u:' .. i .. ':' .. r)) do note(counts, 'u:' .. i .. ':' .. u, redis.call('GET', userCount({ i = i, u = u })) or '0') end
  end
end
local granted = redis.call('HGETALL', base .. 'granted')
for at = 1, #granted, 2 do
  if redis.call('EXISTS', bull .. granted[at] .. ':lock') == 1 then working[#working + 1] = granted[at] end
end
return { redis.call('GET', base .. 'version') or '0', handsNow(), now, redis.call('HGETALL', base .. 'jobs'), granted, scores, holds, counts, working }
`;
