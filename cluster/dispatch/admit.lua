-- Admit one attempt: give the first candidate that has a free slot the ticket, else let it wait at the least busy one.
--
-- KEYS  1 the hash of open requests; then five for each candidate: state, slots, inbox, drain lease, Celery queue
-- ARGV  1 request id  2 ticket id  3 ticket  4 open record (JSON object without its leading brace)
--       5 how many may wait at a node  6 traceparent
--       then four for each candidate: node id, node name (JSON), capacity, the Celery message with @ID@ and @TRACE@ in it
-- Returns {index of the candidate from 1, requests it had before} or {0, 0} when no candidate is alive,
-- or {-1, requests waiting at the least busy one} when every queue is full. A repeated call with the same ticket changes nothing.
local ticket_id = ARGV[2]
local most_waiting = tonumber(ARGV[5])
local count = (#KEYS - 1) / 5
local chosen, chosen_used, least, alive = 0, 0, nil, false
for i = 1, count do
  local base = 1 + (i - 1) * 5
  if redis.call('SISMEMBER', KEYS[base + 2], ticket_id) == 1 then
    return { i, redis.call('SCARD', KEYS[base + 2]) - 1 }
  end
end
for i = 1, count do
  local base = 1 + (i - 1) * 5
  if redis.call('EXISTS', KEYS[base + 1]) == 1 then
    alive = true
    local used = redis.call('SCARD', KEYS[base + 2])
    local capacity = tonumber(ARGV[6 + (i - 1) * 4 + 3])
    if used < capacity then
      chosen, chosen_used = i, used
      break
    end
    local waiting = used - capacity
    if least == nil or waiting < least then
      least = waiting
      if waiting < most_waiting then
        chosen, chosen_used = i, used
      end
    end
  end
end
if chosen == 0 then
  if not alive then
    return { 0, 0 }
  end
  return { -1, least }
end
local base = 1 + (chosen - 1) * 5
local argument = 6 + (chosen - 1) * 4
redis.call('SADD', KEYS[base + 2], ticket_id)
redis.call('HSET', KEYS[1], ARGV[1], '{"node":"' .. ARGV[argument + 1] .. '","node_name":' .. ARGV[argument + 2] .. ',' .. ARGV[4])
redis.call('RPUSH', KEYS[base + 3], ARGV[3])
if redis.call('SET', KEYS[base + 4], ticket_id, 'PX', 5000, 'NX') then
  -- Function replacements: ids and trace contexts are taken as they stand, whatever they hold.
  local message = ARGV[argument + 4]:gsub('@ID@', function() return ticket_id end)
  message = message:gsub('@TRACE@', function() return ARGV[6] end)
  redis.call('LPUSH', KEYS[base + 5], message)
end
return { chosen, chosen_used }
