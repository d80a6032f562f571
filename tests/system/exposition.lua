--- Reads the text that Prometheus reads, strictly: any line that is not as the format says is an error.
---
---     local page = exposition.parse(text)              -- or exposition.parse(text, true) for OpenMetrics
---     page:value("headgate_gate_state", { flow = "f", state = "on" })  -- 1
---     page.families.headgate_gate_state.type           -- "gauge"
local exposition = {}
local Page = {}
Page.__index = Page

local escapes = { ["\\"] = "\\", ['"'] = '"', n = "\n" }

--- The labels of `text` from `at` on, which stands behind the brace; the place behind the closing one.
local function parse_labels(text, at)
  local labels = {}
  while true do
    local name, behind = text:match('^([%a_][%w_]*)="()', at)
    assert(name, "no label at: " .. text:sub(at))
    assert(not labels[name], "a label twice: " .. text)
    local value = {}
    at = behind
    while text:sub(at, at) ~= '"' do
      local char = text:sub(at, at)
      assert(char ~= "", "a label value without its end: " .. text)
      if char == "\\" then
        char = assert(escapes[text:sub(at + 1, at + 1)], "no such escape: " .. text)
        at = at + 1
      end
      value[#value + 1] = char
      at = at + 1
    end
    labels[name] = table.concat(value)
    assert(utf8.len(labels[name]), "a label value that is not UTF-8: " .. text)
    local next_char = text:sub(at + 1, at + 1)
    at = at + 2
    if next_char == "}" then return labels, at end
    assert(next_char == ",", "neither , nor } behind a label: " .. text)
  end
end

local function parse_value(text)
  if text == "+Inf" then return math.huge end
  assert(text:match "^-?%d+%.?%d*$" or text:match "^-?%d+%.?%d*e[-+]%d+$", "not a number: " .. text)
  return tonumber(text)
end

local function key_of(labels)
  local words = {}
  for name, value in pairs(labels) do words[#words + 1] = name .. "=" .. ("%q"):format(value) end
  table.sort(words)
  return table.concat(words, ",")
end

local suffixes = { counter = { [""] = true }, gauge = { [""] = true },
  histogram = { _bucket = true, _sum = true, _count = true } }

local function add_sample(page, family, line)
  assert(family, "a sample before any family: " .. line)
  local name, at = line:match "^([%a_:][%w_:]*)()"
  assert(name and name:sub(1, #family.name) == family.name, "a sample of another family: " .. line)
  local suffix = name:sub(#family.name + 1)
  if family.is_open and family.type == "counter" then
    assert(suffix == "_total", "a counter without _total: " .. line)
    suffix = ""
  end
  assert(suffixes[family.type][suffix], "a suffix that the type does not have: " .. line)
  local labels = {}
  if line:sub(at, at) == "{" then labels, at = parse_labels(line, at + 1) end
  local value = parse_value(assert(line:match("^ (%S+)$", at), "no value, or more than that: " .. line))
  assert(family.type ~= "counter" or value >= 0, "a counter below 0: " .. line)
  local key = name .. "{" .. key_of(labels) .. "}"
  assert(not page.samples[key], "a sample twice: " .. line)
  page.samples[key] = value
  page.lines[#page.lines + 1] = { name = name, labels = labels, value = value, family = family }
end

local function add_head(page, family, line, is_open)
  local name, help = line:match "^# HELP ([%a_:][%w_:]*) (.+)$"
  if name then
    assert(not page.families[name], "a family twice: " .. line)
    assert(not help:find "\\[^\\n]", "an escape that help does not have: " .. line)
    page.families[name] = { name = name, is_open = is_open }
    return page.families[name]
  end
  local of, kind = line:match "^# TYPE ([%a_:][%w_:]*) (%l+)$"
  assert(of and family and of == family.name and not family.type, "a type that is out of place: " .. line)
  assert(suffixes[kind], "no such type: " .. line)
  assert(kind ~= "counter" or is_open or of:match "_total$", "a counter without _total: " .. line)
  family.type = kind
  return family
end

--- Buckets ascend, end with +Inf, and that one is the count.
local function check_histograms(page)
  local last = {}
  for _, line in ipairs(page.lines) do
    if line.family.type == "histogram" and line.name:match "_bucket$" then
      local others = {}
      for name, value in pairs(line.labels) do if name ~= "le" then others[name] = value end end
      local key = line.family.name .. key_of(others)
      local bound = line.labels.le == "+Inf" and math.huge or assert(tonumber(line.labels.le))
      local before = last[key]
      assert(not before or (bound > before.bound and line.value >= before.value), "buckets do not ascend: " .. key)
      last[key] = { bound = bound, value = line.value, others = others, name = line.family.name }
    end
  end
  for key, bucket in pairs(last) do
    assert(bucket.bound == math.huge, "no bucket +Inf: " .. key)
    assert(bucket.value == page:value(bucket.name .. "_count", bucket.others), "the count is not that of +Inf: " .. key)
    page:value(bucket.name .. "_sum", bucket.others)
  end
end

function Page:value(name, labels)
  local key = name .. "{" .. key_of(labels or {}) .. "}"
  return self.samples[key] or error("there is no sample " .. key, 2)
end

function exposition.parse(text, is_open)
  local page = setmetatable({ families = {}, samples = {}, lines = {} }, Page)
  local family
  assert(text:sub(-1) == "\n", "the last line has no end")
  assert(not text:find "\r", "a carriage return")
  if is_open then
    assert(text:sub(-6) == "# EOF\n", "no end mark")
    text = text:sub(1, -7)
  end
  for line in text:gmatch "([^\n]*)\n" do
    if line:sub(1, 1) == "#" then
      family = add_head(page, family, line, is_open)
    else
      add_sample(page, family, line)
    end
  end
  for name, each in pairs(page.families) do assert(each.type, "a family without type: " .. name) end
  check_histograms(page)
  return page
end

return exposition
