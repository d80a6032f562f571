--- How urgent is an anomaly?  The first row that fits decides; its `why` is kept in the trail.
--- `priority` is OpsGenie's, P1 to P5; a row without one calls nobody.
local first = require "headgate.first"

--- An alert without its site is better than no alert: a report whose site cannot be read is judged without it.
local function is_gold(report)
  return type(report.site) == "table" and report.site.tier == "gold"
end

local function is_strange(report)
  local severity = report.severity
  return type(severity) ~= "number" or severity < 1 or severity > 5
end

return first {
  { why = "it is over",
    when = function(report) return report.state == "cleared" end },
  { why = "its severity is not one of 1 to 5", priority = "P3",
    when = is_strange },
  { why = "critical, at a gold site", priority = "P1",
    when = function(report) return report.severity >= 5 and is_gold(report) end },
  { why = "critical", priority = "P2",
    when = function(report) return report.severity >= 5 end },
  { why = "major, at a gold site", priority = "P2",
    when = function(report) return report.severity >= 4 and is_gold(report) end },
  { why = "major", priority = "P3",
    when = function(report) return report.severity >= 4 end },
  { why = "minor", priority = "P4",
    when = function(report) return report.severity >= 3 end },
  { why = "a warning", priority = "P5",
    when = function(report) return report.severity >= 2 end },
  { why = "only for information" },
}
