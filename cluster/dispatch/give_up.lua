-- Give up the place in the queue of a request whose gateway is dead. It is over with that and leaves its usage record, unless a node was
-- given an earlier attempt of it: then it is open, and settled as such.
--
-- ARGV 1 request, ticket (its id)
--      2 usage record (JSON), of no node
-- Returns whether it is over (1 or 0). One that does not wait any more is left as it is.
local a, record = cmsgpack.unpack(ARGV[1]), ARGV[2]
local waiting = entry(a.request)
if not waiting then
  redis.call('ZREM', key.waiting, a.request)
  return 0
end
if waiting.ticket ~= a.ticket then
  return 0
end
drop(waiting)
if redis.call('HEXISTS', key.open, a.request) == 1 then
  return 0
end
release(waiting)
spend(a.request, { 0, 0, 0 })
redis.call('ZREM', key.large, waiting.tenant .. ' ' .. a.request)
redis.call('XADD', key.usage, '*', 'r', record)
redis.call('XADD', key.recent(waiting.tenant), 'MAXLEN', '~', 100, '*', 'r', record)
return 1
