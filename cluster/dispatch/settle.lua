-- Settle one request: free its slot, close it, append its usage record. A repeated call appends a second record with the same
-- request id, of which Postgres keeps the first.
--
-- KEYS  1 open requests  2 usage stream  3 the tenant's recent requests  4 slots of the node
-- ARGV  1 request id  2 ticket id  3 usage record (JSON)
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[4], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'r', ARGV[3])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 100, '*', 'r', ARGV[3])
return 1
