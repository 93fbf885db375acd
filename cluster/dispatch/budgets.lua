-- Budgets: what is spent and what is reserved in each window (a day, a week from Monday, a month, all of UTC), of which the sum is never
-- more than a hard budget. A window is named by its first day since 1970, and its key goes some time after its last.
--
-- A budget `b` of an admission: {id, period, most, hard, warn, amount (at most, of this request), per token of the prompt, per token of the answer, per second,
-- less per token of the prompt that was kept}; gateways of releases before say nothing of the last.
local DAY = 86400
local KEPT_DAYS = 40

-- The first day of the month of a day (H. Hinnant, chrono-compatible low-level date algorithms: civil_from_days).
local function first_of_month(day)
  local of_era = (day + 719468) % 146097
  local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) - math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  return day - (of_year - math.floor((153 * month + 2) / 5))
end

-- The first day of a window, and the first after it.
local function window(period, at)
  local day = math.floor(at / DAY)
  if period == 'day' then
    return day, day + 1
  elseif period == 'week' then
    local monday = day - (day + 3) % 7
    return monday, monday + 7
  end
  local first = first_of_month(day)
  return first, first_of_month(first + 32)
end

local function tell_budget(id, first, name, what, spent)
  if redis.call('HSETNX', name, what, '1') == 1 then
    redis.call('XADD', key.budgets_told, 'MAXLEN', '~', 10000, '*', 'budget', id, 'window', first, 'what', what, 'spent', string.format('%.17g', spent))
  end
end

-- Of the budgets of an admission that has nothing reserved yet: the number of the first that has not enough left, and seconds until
-- its next window. Notes in each what `reserve` needs.
local function spent_budget(a, at)
  if #a.budgets > 0 and redis.call('HEXISTS', key.reserved, a.request) == 1 then
    a.budgets = {}
  end
  for number, b in ipairs(a.budgets) do
    local first, after = window(b[2], at)
    b.first, b.seconds, b.name = first, after * DAY - at, key.spent(b[1], string.format('%d', first))
    local held = redis.call('HMGET', b.name, 'used', 'reserved')
    b.left = b[3] - tonumber(held[1] or 0) - tonumber(held[2] or 0)
    if b[4] and b[6] > b.left then
      tell_budget(b[1], b.first, b.name, 'refused', b[3] - b.left)
      return number, b.seconds
    end
  end
end

-- Take what `spent_budget` looked at; returns of each what is left then, and seconds until its next window.
local function reserve(a)
  if #a.budgets == 0 then
    return nil
  end
  local held, levels = {}, {}
  for _, b in ipairs(a.budgets) do
    redis.call('HINCRBYFLOAT', b.name, 'reserved', string.format('%.17g', b[6]))
    redis.call('EXPIRE', b.name, math.ceil(b.seconds) + KEPT_DAYS * DAY)
    table.insert(held, { b.name, b[6], b[7], b[8], b[9], b[1], b.first, b[3], b[5], b[10] or 0 })
    table.insert(levels, { string.format('%.17g', math.max(0, b.left - b[6])), string.format('%.17g', b.seconds) })
  end
  redis.call('HSET', key.reserved, a.request, cmsgpack.pack(held))
  return levels
end

-- Turn what a request has reserved into what it used: {prompt tokens, tokens of the answer, seconds, tokens of the prompt that were kept};
-- nil where nobody knows, and then it used all of it. Done again it changes nothing.
local function spend(request, used)
  local packed = redis.call('HGET', key.reserved, request)
  if not packed then
    return
  end
  redis.call('HDEL', key.reserved, request)
  for _, r in ipairs(cmsgpack.unpack(packed)) do
    local name, amount, id, first, most, warn = r[1], r[2], r[6], r[7], r[8], r[9]
    local took = used and used[1] * r[3] + used[2] * r[4] + used[3] * r[5] - (used[4] or 0) * (r[10] or 0) or amount
    redis.call('HINCRBYFLOAT', name, 'reserved', string.format('%.17g', -amount))
    local spent = tonumber(redis.call('HINCRBYFLOAT', name, 'used', string.format('%.17g', took)))
    if spent >= most then
      tell_budget(id, first, name, 'spent', spent)
    elseif spent >= warn * most then
      tell_budget(id, first, name, 'warned', spent)
    end
  end
end
