-- Take back a ticket that its node will not serve any more: free its slot, and remove it from the inbox if it still waits there.
--
-- KEYS  1 slots of the node  2 inbox of the node
-- ARGV  1 ticket id  2 ticket
-- Returns 1 when it was still waiting.
redis.call('SREM', KEYS[1], ARGV[1])
return redis.call('LREM', KEYS[2], 1, ARGV[2])
