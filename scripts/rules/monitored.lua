--- Has the customer bought monitoring for this site, on this day ("2026-11-22")?  True or false, and why.
return function(site, day)
  local monitoring = site.monitoring
  if type(monitoring) ~= "table" or monitoring.bought ~= true then
    return false, "monitoring was not bought"
  end
  local last_day = monitoring.through                 -- missing or null: it has no end
  if type(last_day) == "string" and last_day < day then
    return false, "monitoring ended on " .. last_day
  end
  return true, "monitoring was bought"
end
