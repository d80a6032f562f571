--- A rule as a table: the first row that fits decides, and says why.
---
---     local first = require "headgate.first"
---
---     return first {
---       { why = "outage at a gold customer", wake = "P1",
---         when = function(case) return case.tier == "gold" and case.impact == "outage" end },
---       { why = "nobody waits for this at night" },
---     }
---
--- The rule is called with what is to be judged and answers with the row: all that stands in it but `when`.
--- The answer is a copy, so whoever gets it may write on it.  The last row has no `when`: a rule always decides.
--- A table that could not decide, or could not say why, is refused while the rule is loaded.

local function check_row(row, index, count)
  local function refuse(reason)
    error(("first: row %d of %d %s"):format(index, count, reason), 5)
  end
  if type(row) ~= "table" then refuse("is not a table: write { why = ..., when = function ... }") end
  if type(row.why) ~= "string" or row.why == "" then refuse("does not say why: give it why = \"...\"") end
  if index == count then
    if row.when ~= nil then refuse("is the last and has a `when`: end with a row that always fits") end
  elseif row.when == nil then
    refuse("has no `when`, so it always fits and the rows below it are never reached")
  elseif type(row.when) ~= "function" then
    refuse("has a `when` that is not a function")
  end
end

local function check(rows)
  if type(rows) ~= "table" or #rows == 0 then error("first: a list of rows is needed", 3) end
  for name in pairs(rows) do
    if math.type(name) ~= "integer" then
      error(("first: %q stands beside the rows: is a pair of braces missing?"):format(tostring(name)), 3)
    end
  end
  for index = 1, #rows do check_row(rows[index], index, #rows) end
end

local function answer(row)
  local copy = {}
  for name, value in pairs(row) do
    if name ~= "when" then copy[name] = value end
  end
  return copy
end

---@param rows { why: string, when?: (fun(...): boolean), [string]: any }[]
---@return fun(...): headgate.Answer
return function(rows)
  check(rows)
  return function(...)
    for _, row in ipairs(rows) do
      if row.when == nil or row.when(...) then return answer(row) end
    end
  end
end
