-- Look after a request that waits: whether it still does, and for which nodes.
--
-- ARGV 1 request, ticket (its id), nodes (each {id, name, capacity}: for which it waits), moved (whether these are others than before),
--      offered (ids of all nodes for which it ever waited)
-- Returns {'given', node}, {'waits'} or {'lost'} when Redis knows nothing of it.
local a, at = cmsgpack.unpack(ARGV[1]), now()
local waiting = entry(a.request)
if waiting and waiting.ticket == a.ticket then
  if a.moved then
    dequeue(waiting)
    waiting.nodes = a.nodes
    redis.call('HSET', key.queue_entry(a.request), 'a', cmsgpack.pack(waiting))
    enqueue(waiting)
  end
  for _, node in ipairs(a.nodes) do
    fill(node[1], node[3], at)
  end
end
if redis.call('EXISTS', key.queue_entry(a.request)) == 1 then
  return { 'waits' }
end
for _, node in ipairs(a.offered) do
  if redis.call('SISMEMBER', key.node_slots(node), a.ticket) == 1 then
    return { 'given', node }
  end
end
return { 'lost' }
