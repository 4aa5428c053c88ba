-- Keeps records unless newer ones are there. KEYS: a hash for each record, then the slot's index by event.
-- ARGV: 'm' (materialized) or 'p' (pushed), then for each record its key, event, known and values.
-- A record is the text event|known|values. Numbers below 2^53 are exact in Lua.
local kind, index = ARGV[1], KEYS[#KEYS]
for position = 1, #KEYS - 1 do
    local at = 2 + (position - 1) * 4
    local key, event, known, values = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local held = redis.call('HGET', KEYS[position], kind)
    local newer = true
    if held then
        local was_event, was_known = string.match(held, '^(-?%d+)|(-?%d+)|')
        was_event, was_known = tonumber(was_event), tonumber(was_known)
        local e, k = tonumber(event), tonumber(known)
        newer = e > was_event or (e == was_event and k >= was_known)
    end
    if newer then
        redis.call('HSET', KEYS[position], kind, event .. '|' .. known .. '|' .. values)
        redis.call('ZADD', index .. ':' .. kind, event, key)
    end
end
return redis.status_reply('OK')
