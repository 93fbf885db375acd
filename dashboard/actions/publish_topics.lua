-- Number the events of one tenant, keep them for who reads late, and remember what they said, if no other publisher leads by now.
-- KEYS: number of the leadership, numbers (hash), said (hash), mark of what was said lately, series, a stream for each event
-- ARGV: the number under which this was made, "1" if the events build on what was said lately, first number of a topic that has none,
--   milliseconds that the mark lasts, point ("" for none), most points, seconds that a stream is kept,
--   count of events, (topic, most held, data) of each, count of fields said, (field, value) of each, field that is gone, ...
-- Returns how many events were published, or -1 when another process leads or what they build on has lapsed: then nothing was changed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
if ARGV[2] == '1' and redis.call('EXISTS', KEYS[4]) == 0 then
  return -1
end
redis.call('SET', KEYS[4], '1', 'PX', ARGV[4])
if ARGV[5] ~= '' then
  redis.call('RPUSH', KEYS[5], ARGV[5])
  redis.call('LTRIM', KEYS[5], -tonumber(ARGV[6]), -1)
end
local at = 8
local events = tonumber(ARGV[at])
for i = 1, events do
  local topic, held, data = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  at = at + 3
  redis.call('HSETNX', KEYS[2], topic, ARGV[3])
  local number = redis.call('HINCRBY', KEYS[2], topic, 1)
  local stream = KEYS[5 + i]
  redis.call('XADD', stream, 'MAXLEN', held, string.format('%d-0', number), 'd', data)
  redis.call('EXPIRE', stream, ARGV[7])
end
at = at + 1
for _ = 1, tonumber(ARGV[at]) do
  redis.call('HSET', KEYS[3], ARGV[at + 1], ARGV[at + 2])
  at = at + 2
end
for i = at + 1, #ARGV do
  redis.call('HDEL', KEYS[3], ARGV[i])
end
return events
