-- Settle one request: free its slot, close it, correct what it was expected to cost, append its usage record, and give the slot to who
-- waits for it. A repeated call appends a second record with the same request id, of which Postgres keeps the first.
--
-- ARGV 1 request, ticket (its id), tenant, counted, node, room (how many requests the node takes at once), version, weight, work (done more than charged),
--        limits (each {what, owner, most a minute, used more than taken}), used (for `spend` in budgets.lua; nil where nobody knows), pause (for how many seconds the slot may be kept for the tenant; nil for none)
--      2 usage record (JSON)
-- Returns the seconds for which it is kept (text), after which the node wants to be filled.
local a, record, at = cmsgpack.unpack(ARGV[1]), ARGV[2], now()
local was_open = redis.call('HDEL', key.open, a.request) == 1
redis.call('SREM', key.node_slots(a.node), a.ticket)
release(a)
spend(a.request, a.used)
redis.call('ZREM', key.large, a.tenant .. ' ' .. a.request, SHADOWS .. ' ' .. a.request)
redis.call('XADD', key.usage, '*', 'r', record)
redis.call('XADD', key.recent(a.tenant), 'MAXLEN', '~', 100, '*', 'r', record)
if was_open then
  drained(a.version, at)
  redis.call('HINCRBYFLOAT', key.work, a.tenant, text(a.work / a.weight))
  for _, limit in ipairs(a.limits) do
    local what, owner, most, more = unpack(limit)
    rate_take(rate_arrival(what, owner, at), what, owner, most, more, at)
  end
end
if redis.call('EXISTS', key.queue_node(a.node)) == 0 then
  return '0'
end
local kept = was_open and keep(a, at) or 0
fill(a.node, a.room, at)
return text(kept)
