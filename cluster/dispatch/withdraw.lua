-- Take back a ticket that its node will not serve any more: free its slot, and remove it from the inbox if it still waits there.
--
-- KEYS  1 open requests; then two for each node that may have it: slots, inbox
-- ARGV  1 the request id when the request itself is to be forgotten, else empty  2 ticket id  3 ticket
-- Returns how many nodes had a slot for it.
if ARGV[1] ~= '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
local held = 0
for i = 2, #KEYS, 2 do
  held = held + redis.call('SREM', KEYS[i], ARGV[2])
  redis.call('LREM', KEYS[i + 1], 1, ARGV[3])
end
return held
