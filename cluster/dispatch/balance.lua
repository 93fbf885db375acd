-- What budgets have spent in their present windows by what is in Postgres, which Redis may have lost: it is at least that.
--
-- ARGV 1 budgets (each {id, period, used})
-- Returns of each {used, reserved, seconds until its next window}, as text.
local a, at = cmsgpack.unpack(ARGV[1]), now()
local found = {}
for _, b in ipairs(a.budgets) do
  local first, after = window(b[2], at)
  local name = key.spent(b[1], string.format('%d', first))
  local held = redis.call('HMGET', name, 'used', 'reserved')
  local used = tonumber(held[1] or 0)
  if used < b[3] then
    used = b[3]
    redis.call('HSET', name, 'used', text(used))
    redis.call('EXPIRE', name, (after - first + KEPT_DAYS) * DAY)
  end
  table.insert(found, { text(used), held[2] or '0', text(after * DAY - at) })
end
return found
