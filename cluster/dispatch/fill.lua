-- Give the free slots of some nodes to those who wait for them: what was not done when a slot became free, because the node was away,
-- new, or took fewer requests then.
--
-- ARGV 1 nodes (each {id, capacity})
local asked, at = cmsgpack.unpack(ARGV[1]), now()
for _, node in ipairs(asked.nodes) do
  fill(node[1], node[2], at)
end
return 1
