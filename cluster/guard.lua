-- How much of Redis each node's own keys take, in one step, and an end to states that would never lapse.
--
-- KEYS groups of the keys of one node, its state and the brief of it first. ARGV 1 how many keys a group has, 2 the longest life of these
-- two in milliseconds
-- Returns bytes, one number for each node.
local found, each = {}, tonumber(ARGV[1])
for first = 1, #KEYS, each do
  for number = first, first + 1 do
    local left = redis.call('PTTL', KEYS[number])
    if left == -1 or left > tonumber(ARGV[2]) then
      redis.call('PEXPIRE', KEYS[number], ARGV[2])
    end
  end
  local bytes = 0
  for number = first, first + each - 1 do
    bytes = bytes + (redis.call('MEMORY', 'USAGE', KEYS[number]) or 0)
  end
  table.insert(found, bytes)
end
return found
