-- Take back a ticket that waits, or that its node will not serve any more: free its slot, and remove it from the inbox if it still
-- waits there.
--
-- ARGV 1 request, tenant, ticket (its id), counted, nodes (each {id, capacity}: those that may have it), close (whether the request itself is over)
--      2 the ticket
-- Returns how many nodes had a slot for it.
local a, ticket, at = cmsgpack.unpack(ARGV[1]), ARGV[2], now()
local waiting = entry(a.request)
if waiting and waiting.ticket == a.ticket then
  drop(waiting)
end
if a.close then
  redis.call('HDEL', key.open, a.request)
  redis.call('ZREM', key.large, a.tenant .. ' ' .. a.request, SHADOWS .. ' ' .. a.request)
  release(a)
  spend(a.request, { 0, 0, 0 })
end
local held = 0
for _, node in ipairs(a.nodes) do
  held = held + redis.call('SREM', key.node_slots(node[1]), a.ticket)
  on_node('LREM', key.node_inbox(node[1]), 1, ticket)
  fill(node[1], node[2], at)
end
return held
