--- The terminal: a story that scrolls, and below it a panel that is redrawn in place.
---
---     0:07  mail-contacts is off: its events wait in their queue        <- story, scrolls up
---
---     FLOW             GATE    RATE  RECEIVED ...                        <- panel, drawn over itself
---
--- Where the output is no terminal there is no panel, but a line about once a second.  Every line is cut to the width,
--- for a line that wraps would move all that is drawn over it.  All text is ASCII: a byte is a column.
local world = require "world"
local screen = {}

local STORY_KEPT = 60        -- lines told again when the terminal was resized
local LINE_EVERY_S = 1

local paints = { bold = "1", dim = "2", red = "31", green = "32", yellow = "33", cyan = "36" }
local is_terminal, has_colours = false, false
local columns, rows = 80, 24
local drawn = 0              -- lines of the panel on the screen
local untold, told = {}, {}  -- story lines
local next_line_s = 0

function screen.open(with_terminal)
  is_terminal = with_terminal
  has_colours = with_terminal and (os.getenv "NO_COLOR" or "") == ""
  if is_terminal then io.write "\27[?25l" end
  screen.measure()
end

function screen.paint(name, text)
  return has_colours and ("\27[%sm%s\27[0m"):format(paints[name], text) or text
end

--- True: the size is another than before.
function screen.measure()
  if not is_terminal then return false end
  local pipe = io.popen "stty size </dev/tty 2>/dev/null"
  local high, wide = pipe:read("n", "n")
  pipe:close()
  if not wide or wide == 0 or (wide == columns and high == rows) then return false end
  columns, rows = wide, high
  return true
end

--- Cut to the width; what only paints takes no room.
local function cut(line)
  local width, at, shown = columns - 1, 1, 0
  while at <= #line do
    local _, last = line:find("^\27%[[%d;]*m", at)
    if last then
      at = last + 1
    elseif shown == width then
      return line:sub(1, at - 1) .. (has_colours and "\27[0m" or "")
    else
      shown, at = shown + 1, at + 1
    end
  end
  return line
end

local function tell(line)
  told[#told + 1] = line
  if #told > STORY_KEPT then table.remove(told, 1) end
  untold[#untold + 1] = line
end

--- Words of `text` in lines of at most `width`.
local function wrapped(text, width)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    if line ~= "" and #line + 1 + #word > width then
      lines[#lines + 1] = line
      line = word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return lines
end

--- What is happening now: a headline, and what is to be known about it.
function screen.say(seconds, headline, ...)
  seconds = math.floor(seconds)
  local clock = ("%2d:%02d  "):format(seconds // 60, seconds % 60)
  local width = math.min(columns, 110) - 9
  for index, line in ipairs(wrapped(headline, width)) do
    tell(screen.paint("cyan", index == 1 and clock or "       ") .. screen.paint("bold", line))
  end
  for _, text in ipairs { ... } do
    for _, line in ipairs(wrapped(text, width)) do tell("       " .. line) end
  end
end

local function wipe_panel()
  if drawn > 0 then io.write("\27[", drawn, "A\r\27[J") end
  drawn = 0
end

local function write_story()
  for _, line in ipairs(untold) do io.write(is_terminal and cut(line) or line, "\n") end
  untold = {}
end

--- Shows what was said since, and the panel's lines; or `summary` where there is no panel.
function screen.draw(panel, summary)
  if not is_terminal then
    write_story()
    if world.seconds() >= next_line_s then
      io.write("       ", summary, "\n")
      next_line_s = world.seconds() + LINE_EVERY_S
    end
    io.flush()
    return
  end
  if screen.measure() then
    io.write "\27[2J\27[H"
    drawn, untold = 0, table.move(told, math.max(1, #told - rows + #panel + 2), #told, 1, {})
  end
  wipe_panel()
  write_story()
  for index = 1, math.min(#panel, rows - 1) do
    io.write(cut(panel[index]), "\n")
    drawn = index
  end
  io.flush()
end

--- The panel is over: what is printed from now on only scrolls.
function screen.close()
  if is_terminal then
    wipe_panel()
    io.write "\27[?25h"
  end
  write_story()
  io.flush()
end

function screen.print(text)
  for line in (text .. "\n"):gmatch "(.-)\n" do io.write(is_terminal and cut(line) or line, "\n") end
end

--- Rows as a table: its first column to the left, and those named in `left`; the first row is the head.
function screen.grid(grid, left)
  local widths, lines = {}, {}
  for _, row in ipairs(grid) do
    for column, cell in ipairs(row) do widths[column] = math.max(widths[column] or 0, #tostring(cell)) end
  end
  for index, row in ipairs(grid) do
    local cells = {}
    for column, cell in ipairs(row) do
      local is_left = column == 1 or (left and left[column])
      cells[column] = ("%" .. (is_left and "-" or "") .. widths[column] .. "s"):format(tostring(cell))
    end
    local line = table.concat(cells, "  "):gsub(" +$", "")
    lines[index] = index == 1 and screen.paint("dim", line) or line
  end
  return lines
end

return screen
