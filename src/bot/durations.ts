/** Times as people say them. */

/** `0.4 s`, `38 s`, `4 min`, `1 h 5 min`. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? '' : ` ${minutes % 60} min`}`;
}

/** `12:03 UTC`; with the day when it is not today's. */
export function clock(at: Date, now: Date): string {
  const [day = '', time = ''] = at.toISOString().split('T');
  const short = `${time.slice(0, 5)} UTC`;
  return now.toISOString().startsWith(day) ? short : `${day} ${short}`;
}
