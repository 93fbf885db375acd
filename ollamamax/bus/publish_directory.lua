-- Change one table of the directory, number the change, and tell the readers: all of it or nothing.
-- KEYS: the table's hash, the version. ARGV: channel, message without its number, the table's mark that is
-- expected ('none' when it has none, 'any' for whatever it is), whether the table is complete after this
-- ('1'), number of fields to set, then those fields and values, then the fields to delete.
-- Returns the table's new mark, or nil when its mark is not the expected one.
-- A mark is '=' (all of the table was published) or '?' (single changes only), and the last change's number.
local hash, version = KEYS[1], KEYS[2]
local expected, complete, sets = ARGV[3], ARGV[4] == '1', tonumber(ARGV[5])

local held = redis.call('HGET', hash, '') or 'none'
if expected ~= 'any' and expected ~= held then
  return false
end
if redis.call('EXISTS', version) == 0 then
  -- A version that was lost begins above every one that readers may still remember.
  local now = redis.call('TIME')
  redis.call('SET', version, now[1] .. string.format('%06d', now[2]))
end
local was_complete = string.sub(held, 1, 1) == '='
-- When a table becomes complete the number skips one: readers see a hole and take all of it.
local step = (complete and not was_complete) and 2 or 1
local number = string.format('%d', redis.call('INCRBY', version, step))
for i = 6, 4 + 2 * sets, 2 do
  redis.call('HSET', hash, ARGV[i], ARGV[i + 1])
end
for i = 6 + 2 * sets, #ARGV do
  redis.call('HDEL', hash, ARGV[i])
end
local mark = ((complete or was_complete) and '=' or '?') .. number
redis.call('HSET', hash, '', mark)
redis.call('PUBLISH', ARGV[1], number .. ' ' .. ARGV[2])
return mark
