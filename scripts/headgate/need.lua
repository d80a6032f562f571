--- Take a value out of an event, or say clearly what is wrong with it.
---
---     local name = need.text(event, "body.site.name")
---     --> flow.lua:7: body.site.name: a text is needed, found null
---
--- A run that ends so leaves no effect; its event is held with this sentence until a person looks at it.
--- Where an event should pass even without the value, give a fallback: then nothing is raised.
---
---     local name = need.text(event, "body.site.name", "an unknown site")

local need = {}

local function look(from, path)
  local value = from
  for name in path:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    value = value[name]
  end
  return value
end

local function describe(value)
  local kind = type(value)
  if kind == "nil" then return "nothing" end
  if kind == "userdata" then return "null" end
  if kind == "table" then return value[1] == nil and "a table" or "a list" end
  if kind == "string" then return ("the text %q"):format(#value <= 40 and value or value:sub(1, 40) .. "...") end
  return tostring(value)
end

--- Raises at the line of the step that asked: always a tail call, so the step is the next level.
local function refuse(path, wanted, value)
  error(("%s: %s is needed, found %s"):format(path, wanted, describe(value)), 2)
end

--- A text that is not empty.
---@param from table      where to look: the event, or a part of it
---@param path string     the way there, "body.site.name"
---@param fallback any?   taken where there is no such text
---@return string
function need.text(from, path, fallback)
  local value = look(from, path)
  if type(value) == "string" and value ~= "" then return value end
  if fallback ~= nil then return fallback end
  return refuse(path, "a text", value)
end

--- A table with names: a JSON object.
---@param from table
---@param path string
---@return table
function need.table(from, path)
  local value = look(from, path)
  if type(value) == "table" and value[1] == nil then return value end
  return refuse(path, "a table", value)
end

--- A list, which may be empty: a JSON array.
---@param from table
---@param path string
---@return any[]
function need.list(from, path)
  local value = look(from, path)
  if type(value) == "table" and (value[1] ~= nil or next(value) == nil) then return value end
  return refuse(path, "a list", value)
end

--- One of the given texts and no other.
---@param from table
---@param path string
---@param ... string
---@return string
function need.one_of(from, path, ...)
  local value = look(from, path)
  for _, choice in ipairs { ... } do
    if value == choice then return choice end
  end
  return refuse(path, "one of " .. table.concat({ ... }, ", "), value)
end

--- A moment in UTC as RFC 3339 writes it, "2026-11-22T09:41:07Z": its day and its time to the minute.
---@param from table
---@param path string
---@return string day    "2026-11-22"
---@return string time   "09:41"
function need.moment(from, path)
  local value = look(from, path)
  if type(value) == "string" then
    local day, time = value:match "^(%d%d%d%d%-%d%d%-%d%d)T(%d%d:%d%d):%d%d[.%d]*Z$"
    if day then return day, time end
  end
  return refuse(path, "a moment such as 2026-11-22T09:41:07Z", value)
end

return need
