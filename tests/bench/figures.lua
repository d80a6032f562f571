--- Makes the bench's table: one line a figure, beside its yardstick and the goal of the design.
---
--- Input is the file of samples, one a line ("rate.bare 10300"); of several, the median counts.

local samples = {}
local path = assert(arg[1], "usage: figures.lua FILE")
for line in io.lines(path) do
  local name, value = line:match("^(%S+) (%S+)$")
  samples[name] = samples[name] or {}
  table.insert(samples[name], (assert(tonumber(value), line)))
end

local function median(name)
  local list = table.move(assert(samples[name], name), 1, #samples[name], 1, {})
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function sum(name)
  local total = 0
  for _, value in ipairs(samples[name] or {}) do
    total = total + value
  end
  return math.tointeger(total)
end

local function command(text)
  local pipe <close> = assert(io.popen(text))
  return (pipe:read("a"):gsub("%s+$", ""))
end

local rows = {}

--- `scale` turns a sample into the unit shown; the goals are bounds of the value and of its ratio to the yardstick.
local function row(title, name, format, scale, goal)
  goal = goal or {}
  if not samples[name .. ".headgate"] then return end -- it was not measured this time
  local value = median(name .. ".headgate") * scale
  local yardstick = samples[name .. ".bare"] and median(name .. ".bare") * scale
  local ratio = yardstick and value / yardstick
  local met = (not goal.at_most or value <= goal.at_most) and (not goal.ratio_at_least or ratio >= goal.ratio_at_least)
    and (not goal.ratio_at_most or ratio <= goal.ratio_at_most)
  table.insert(rows, {
    title, format:format(value), yardstick and format:format(yardstick) or "", ratio and ("%.2f"):format(ratio) or "",
    goal.text or "", goal.text and (met and "yes" or "NO") or "",
  })
end

local MB, load, pile = 1 / 1024, os.getenv "LOAD", os.getenv "PILE"
row("forwarding, both ends confirmed (messages/s)", "rate", "%.0f", 1, { ratio_at_least = 1.0, text = "≥ 1.00 ×" })
row("CPU for each of them (µs)", "cpu", "%.1f", 1e-3, { ratio_at_most = 2.5, text = "≤ 2.50 ×" })
row("disk writes for each of them, of the whole machine", "writes", "%.2f", 1)
row("largest private memory under that load (MB)", "memory", "%.1f", MB, { at_most = 32, text = "≤ 32" })
row("the same with the mapped pages of the store", "mapped", "%.1f", MB)
row("private memory, idle with 20 flows (MB)", "idle", "%.1f", MB, { at_most = 16, text = "≤ 16" })
row("the same with libraries and mapped pages", "idle-mapped", "%.1f", MB)
row(("event to effect at %s/s, p50 (ms)"):format(os.getenv "RATE"), "p50", "%.2f", 1,
  { at_most = 2, ratio_at_most = 3, text = "≤ 2, ≤ 3.00 ×" })
row(("event to effect at %s/s, p99 (ms)"):format(os.getenv "RATE"), "p99", "%.2f", 1, { at_most = 8, text = "≤ 8" })
row("gate on, to the first effect (ms)", "on", "%.1f", 1, { at_most = 10, text = "≤ 10" })
row("gate off, to the last effect (ms)", "off", "%.1f", 1)
row("deploy: last effect of the old release to the first of the new (ms)", "deploy", "%.1f", 1,
  { at_most = 10, text = "≤ 10" })
row(("start with %s effects in the outbox (ms)"):format(pile), "start", "%.0f", 1,
  { at_most = 1000, text = "≤ 1000" })
row("private memory after that (MB)", "pile", "%.1f", MB, { at_most = 64, text = "≤ 64" })
row("the same two with 10000: start (ms)", "start-small", "%.0f", 1)
row("and memory (MB)", "pile-small", "%.1f", MB)
row("with the mapped pages of the store", "pile-mapped", "%.1f", MB)
row("draining it to a far side that takes each at once (effects/s)", "pile-drain", "%.0f", 1)
row("largest private memory meanwhile (MB)", "pile-memory", "%.1f", MB)
row("an HTTP lane, from the outbox to nginx (requests/s; yardstick: a bare curl-multi loop)", "drain", "%.0f", 1,
  { ratio_at_least = 0.8, text = "≥ 0.80 ×" })
row("largest private memory meanwhile (MB)", "drain-memory", "%.1f", MB, { at_most = 64, text = "≤ 64" })
row("webhooks in, on disk before the answer (requests/s; yardstick: nginx answering 200)", "hooks", "%.0f", 1)
row("mails/s (yardstick: a bare SMTP client at the same relay)", "mails", "%.0f", 1)

-- ---- printing ------------------------------------------------------------------------------------------

local function print_table(head)
  local widths = {}
  table.insert(rows, 1, head)
  for _, cells in ipairs(rows) do
    for i, cell in ipairs(cells) do
      widths[i] = math.max(widths[i] or 3, utf8.len(cell))
    end
  end
  for line, cells in ipairs(rows) do
    local padded = {}
    for i, cell in ipairs(cells) do
      local space = (" "):rep(widths[i] - utf8.len(cell))
      padded[i] = i == 1 and cell .. space or space .. cell
    end
    print("| " .. table.concat(padded, " | ") .. " |")
    if line == 1 then
      local rule = {}
      for i, width in ipairs(widths) do
        rule[i] = ("-"):rep(width - 1) .. (i == 1 and "-" or ":")
      end
      print("| " .. table.concat(rule, " | ") .. " |")
    end
  end
end

print("# What `make bench` measured\n")
print(("%s, %s, commit %s"):format(command "date -u '+%Y-%m-%d %H:%M UTC'", command "uname -srm",
  command "git describe --always --dirty 2>/dev/null || echo unknown"))
print(("%s cores (%s), %s of memory; %s processes waited for them before the start (load average)\n"):format(
  command "nproc",
  command "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1", command "free -h | awk '/^Mem/ { print $2 }'",
  os.getenv "BUSY"))
print_table { "figure", "Headgate", "yardstick", "ratio", "goal", "met" }
print(([[

Medians of %s rounds each. Where nothing else is said the yardstick is the bare forwarder (`tests/bench/forward.c`:
librabbitmq, no Lua, no disk); Headgate and it take turns at the same broker, which runs on the same machine.  A round
of the forwarding figure is %s messages of some 300 bytes, of 1009 keys.  During all measurements with steady load %d
messages were lost, and %d came twice.]])
  :format(os.getenv "ROUNDS", load, sum "lost.headgate", sum "twice.headgate"))
