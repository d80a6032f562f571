--- Ask for one request an event.
-- luacheck: read_globals target
local step = {}

function step.run(event)
  target.put { path = {"things", event.id}, json = event.body }
end

return step
