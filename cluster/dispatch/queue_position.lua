-- The line of all who wait, for those who want to know their place in it.
--
-- ARGV 1 tenant (the one whose open records are wanted; empty for none), most (how many at most)
-- Returns MessagePack: waiting (each {request, tenant, score, cost, weight, version, open record or '', names of the nodes that it waits for}), work (tenant -> virtual time),
-- rates (version -> how many of its requests end in a second)
local asked, at = cmsgpack.unpack(ARGV[1]), now()
local found = { waiting = {}, work = {}, rates = {} }
for _, request in ipairs(redis.call('ZRANGE', key.waiting, 0, asked.most - 1)) do
  local a = entry(request)
  if a then
    local open, nodes = '', {}
    if a.tenant == asked.tenant then
      open = '{' .. a.open
      for _, node in ipairs(a.nodes) do
        table.insert(nodes, node[2])
      end
    end
    table.insert(found.waiting, { request, a.tenant, text(a.score), text(a.cost), text(a.weight), a.version, open, nodes })
    found.work[a.tenant] = text(work_of(a.tenant))
    found.rates[a.version] = text(drain_rate(a.version, at))
  end
end
return cmsgpack.pack(found)
