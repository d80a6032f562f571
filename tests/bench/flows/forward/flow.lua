--- Send every message on, and say which release did it: `tests/bench/run` deploys a second one.
-- luacheck: read_globals broker
local release = 1
local step = {}

function step.run(event)
  event.body.release = release
  broker.publish { exchange = "", key = "bench.out", body = event.body }
end

return step
