-- Give a request that waits another place among those of its tenant.
--
-- ARGV 1 request, ticket (its id), open (its open record, without its leading brace), head (seconds by which it stands before others)
-- Returns 1, or 0 when it does not wait any more.
local a = cmsgpack.unpack(ARGV[1])
local waiting = entry(a.request)
if not waiting or waiting.ticket ~= a.ticket then
  return 0
end
waiting.open = a.open
waiting.score = waiting.received_at - a.head
redis.call('HSET', key.queue_entry(a.request), 'a', cmsgpack.pack(waiting))
redis.call('ZADD', key.queue_tenant(waiting.tenant), text(waiting.score), a.request)
enqueue(waiting)
return 1
