--- Deploying: a new release is switched to between two events, or changes nothing and says why.
local kit = require "kit"

--- A flow that puts the name of its release on what it publishes.
local function stamp(release)
  return ([[return { run = function(event)
    broker.publish { exchange = "", key = event.body.to, body = { id = event.id, release = "%s" } }
  end }]]):format(release)
end

local function world_with(lua, ...)
  local world = kit.world()
  world.sink = world.exchange .. ".sink"
  world.broker:rabbit("declare-queue", world.sink)
  world.path = world:flow("stamp", { manifest = "uses: [broker, alerts]", lua = lua })
  world:start(...)
  return world
end

local function publish(world, ...)
  local list = {}
  for i, id in ipairs { ... } do list[i] = { id = id, to = world.sink } end
  world:publish(list, "any")
end

--- The next `many` messages: id to release.
local function arrived(world, many)
  local releases, count = {}, 0
  local lines = world.broker:rabbit("consume", world.sink, "--count", many, "--timeout-ms", "15000")
  for line in lines:gmatch "[^\n]+" do
    local body = kit.json.decode(kit.json.decode(line).body)
    assert(not releases[body.id], body.id .. " came twice")
    releases[body.id], count = body.release, count + 1
  end
  assert.equal(many, count)
  return releases
end

local function live(world, name)
  local releases, hash = world:ask("releases", name, "--json").releases, nil
  for _, release in ipairs(releases) do
    if release.live then hash = release.release end
  end
  return hash, #releases
end

local function is_refused(world, path, words)
  local before = live(world, "stamp")
  local output, complaint, code = world:headgate("deploy", path, "--why", "test")
  assert.equal(1, code, output .. complaint)
  assert.truthy(complaint:find(words, 1, true), complaint)
  assert.equal(before, (live(world, "stamp")))
end

describe("a deploy", function()
  after_each(kit.tidy)

  it("under traffic loses no event, runs none twice, and the new release takes over", function()
    local world = world_with(stamp "zero")
    world:open "stamp"
    local lines = {}
    for i = 1, 2000 do lines[i] = "any\t" .. kit.json.encode { id = "D-" .. i, to = world.sink } end
    local publisher = world.broker:pour(world.exchange, lines, 700, world.folder)
    for i = 1, 5 do
      kit.write(world.path .. "/flow.lua", stamp("r" .. i))
      world:must("deploy", world.path, "--why", "test")
      local before = world:flow_status("stamp").finished
      kit.wait("more events", 15, function()
        return world:flow_status("stamp").finished > before or not publisher:is_running()
      end)
    end
    assert.equal(0, publisher:ended(30))
    world:counts("stamp", { received = 2000, finished = 2000 }, 30)
    publish(world, "last")
    world:counts("stamp", { received = 2001, finished = 2001 })
    world:settle()
    local releases, kinds = arrived(world, 2001), {}
    for _, release in pairs(releases) do kinds[release] = true end
    assert.equal("r5", releases.last)
    assert.is_true(kinds.zero and kinds.r1)
    assert.equal(6, select(2, live(world, "stamp")))
  end)

  it("is not held up by a process that a spec leaves behind", function()
    local world = world_with(stamp "zero")
    kit.write(world.path .. "/flow.lua", stamp "one")
    kit.write(world.path .. "/flow_spec.lua", [[it("leaves something behind", function()
      os.execute "tail -f /dev/null &"
    end)]])
    world:must("deploy", world.path, "--why", "test")
    assert.equal(2, select(2, live(world, "stamp")))
  end)

  it("lets a run that began finish under its release", function()
    local world = world_with([[return { run = function(event)
      alerts.get { alias = "slow" }
      broker.publish { exchange = "", key = event.body.to, body = { id = event.id, release = "old" } }
    end }]])
    world:open "stamp"
    world:opsgenie_fault { match = { method = "GET", path_prefix = "/v2/alerts/slow" }, delay_ms = 3000 }
    publish(world, "began")
    kit.wait("the look-up", 15, function() return #world:requests "GET" > 0 end)
    kit.write(world.path .. "/flow.lua", stamp "new")
    world:must("deploy", world.path, "--why", "test")
    publish(world, "after")
    world:counts("stamp", { finished = 2 })
    assert.same({ began = "old", after = "new" }, arrived(world, 2))
    world:settle()
  end)

  it("of what does not load, or fails its check or its spec, changes nothing and says why", function()
    local world = world_with(stamp "good")
    world:open "stamp"
    kit.write(world.path .. "/flow.lua", "return { run = function( }")
    is_refused(world, world.path, "flow.lua:1")
    kit.write(world.path .. "/flow.lua", "return { other = function() end }")
    is_refused(world, world.path, "run")
    local manifest = kit.read(world.path .. "/flow.yaml")
    kit.write(world.path .. "/flow.lua", stamp "bad")
    kit.write(world.path .. "/flow.yaml", (manifest:gsub("alerts", "pager")))
    is_refused(world, world.path, "pager")
    kit.write(world.path .. "/flow.yaml", manifest)
    kit.write(world.path .. "/flow_spec.lua", [[it("is not good enough", function() assert.is_true(false) end)]])
    is_refused(world, world.path, "is not good enough")

    publish(world, "still")
    assert.same({ still = "good" }, arrived(world, 1))
    assert.equal(1, select(2, live(world, "stamp")))
    assert.matches("nothing has changed", world:log())
  end)

  it("of a rule switches the flows that use it, and one that breaks a flow's spec is refused", function()
    local world = kit.world()
    world.sink = world.exchange .. ".sink"
    world.broker:rabbit("declare-queue", world.sink)
    local rule = world:rule("name", 'return function() return "one" end')
    world.path = world:flow("stamp", { manifest = "uses: [broker]", lua = [[
      local name = require "rules.name"
      return { run = function(event)
        broker.publish { exchange = "", key = event.body.to, body = { id = event.id, release = name() } }
      end }]], files = { ["flow_spec.lua"] = [[
      local spec = require "headgate.spec"
      local flow = spec.flow()
      it("has a name of three letters", function()
        local run = flow:run { body = { id = "1", to = "q" }, headers = {}, properties = {} }
        assert.equal(3, #run.effects[1].fields.body.release)
      end)]] } })
    world:start()
    world:open "stamp"
    publish(world, "first")
    assert.same({ first = "one" }, arrived(world, 1))

    kit.write(rule, 'return function() return "two" end')
    world:must("deploy", rule, "--why", "test")
    publish(world, "second")
    assert.same({ second = "two" }, arrived(world, 1))
    assert.equal(2, select(2, live(world, "name")))

    kit.write(rule, 'return function() return "three" end')
    is_refused(world, rule, "has a name of three letters")
    publish(world, "third")
    assert.same({ third = "two" }, arrived(world, 1))
    world:settle()
  end)
end)

describe("headgate run --watch", function()
  after_each(kit.tidy)

  it("opens the gate of a new flow, and deploys what is saved", function()
    local world = world_with(stamp "one", "--watch")
    kit.wait("the flow to listen", 15, function() return world:flow_status("stamp").is_listening end)
    assert.equal("on", world:flow_status("stamp").gate)
    publish(world, "first")
    assert.same({ first = "one" }, arrived(world, 1))
    local before = live(world, "stamp")

    kit.write(world.path .. "/flow.lua", "return {")
    world:says "nothing has changed"
    assert.equal(before, (live(world, "stamp")))
    kit.write(world.path .. "/flow.lua", stamp "two")
    kit.wait("the new release", 15, function() return (live(world, "stamp")) ~= before end)
    publish(world, "second")
    assert.same({ second = "two" }, arrived(world, 1))
    world:settle()
  end)

  it("is needed for that: without it a changed folder is reported, not applied", function()
    local world = world_with(stamp "one")
    world:open "stamp"
    world:stop()
    kit.write(world.path .. "/flow.lua", stamp "two")
    world:start()
    assert.matches("stamp", table.concat(world:status().notes, "\n"))
    kit.wait("the flow to listen", 15, function() return world:flow_status("stamp").is_listening end)
    publish(world, "first")
    assert.same({ first = "one" }, arrived(world, 1))
  end)
end)
