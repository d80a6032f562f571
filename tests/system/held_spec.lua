--- What is held waits for a person: they see why, and send it back to work or give it up, with a reason.
local kit = require "kit"
local anomaly = kit.anomaly

local function number(held) return ("%d"):format(held.held) end

describe("a held event", function()
  after_each(kit.tidy)

  local function world_with_held(many)
    local world = kit.world()
    world.path = world:flow("orders", {
      manifest = "uses: [mail]", lua = "return { run = function() error 'not yet' end }",
    })
    world:start()
    world:open "orders"
    local bodies = {}
    for i = 1, many do bodies[i] = { id = "H-" .. i, to = "ada@example.net" } end
    world:publish(bodies, "any")
    world:await_held(many)
    return world
  end

  it("shows the reason, the traceback, the event and the release", function()
    local world = world_with_held(1)
    local held = world:held()[1]
    local whole = world:ask("held", "show", number(held), "--json")
    assert.equal("event", whole.kind)
    assert.equal("H-1", whole.event_id)
    assert.matches("not yet", whole.reason)
    assert.matches("flow.lua:1", whole.detail)
    assert.equal("H-1", kit.json.decode(whole.event.body).id)
    assert.equal(world:flow_status("orders").release, whole.release)
    assert.matches("not yet", world:must("held", "show", number(held)))
    assert.equal("held", world:ask("trace", "H-1", "--json").runs[1].outcome)
  end)

  it("runs again on retry, under the release that is live by then", function()
    local world = world_with_held(2)
    kit.write(world.path .. "/flow.lua", [[return { run = function(event)
      mail.send { to = event.body.to, subject = "At last", text = event.id }
    end }]])
    world:must("deploy", world.path, "--why", "mended")
    for _, held in ipairs(world:held()) do world:must("held", "retry", number(held), "--why", "mended") end
    world:counts("orders", { received = 2, finished = 2, held = 0, waiting = 0 })
    world:settle()
    assert.equal(2, world:recipients()["ada@example.net"].mails)
    assert.equal("held retry", world:ask("audit", "--json").audit[1].what)
  end)

  it("is taken back once, however many people do it at once", function()
    local world = world_with_held(5)
    kit.write(world.path .. "/flow.lua", [[return { run = function(event)
      mail.send { to = event.body.to, subject = "At last", text = event.id }
    end }]])
    world:must("deploy", world.path, "--why", "mended")
    local curl = [[curl -s -o /dev/null --unix-socket %s/admin.sock -d '{"why":"all at once"}']]
    curl = curl:format(world.config.data)
    local calls = {}
    for _, held in ipairs(world:held()) do
      for i = 1, 4 do
        local what = i == 4 and "discard" or "retry"
        calls[#calls + 1] = ("%s http://headgate/v1/held/%d/%s &"):format(curl, held.held, what)
      end
    end
    os.execute(table.concat(calls, " ") .. " wait")
    world:settle()
    world:counts("orders", { received = 5, held = 0, waiting = 0, difference = 0 })
    local flow = world:flow_status "orders"
    assert.equal(5, flow.finished + flow.skipped.discarded)
  end)

  it("that fails again is held again", function()
    local world = world_with_held(1)
    local first = world:held()[1]
    world:must("held", "retry", number(first))
    kit.wait("it to be held again", 15, function()
      local list = world:held()
      return #list == 1 and list[1].held ~= first.held
    end)
    world:settle()
    world:counts("orders", { received = 1, held = 1 })
  end)

  it("is given up only with a reason, and is counted", function()
    local world = world_with_held(2)
    local first = world:held()[1]
    local _, complaint, code = world:headgate("held", "discard", number(first))
    assert.equal(64, code)
    assert.matches("say why", complaint)
    assert.equal(2, #world:held())
    world:must("held", "discard", number(first), "--why", "a test order")
    world:counts("orders", { received = 2, held = 1, skipped = { discarded = 1 } })
    world:settle()
    assert.matches("discarded\n    discarded by [^\n]*: a test order", world:must("trace", first.key))
    local audit = world:ask("audit", "--json").audit[1]
    assert.equal("held discard", audit.what)
    assert.equal("a test order", audit.why)
    _, complaint, code = world:headgate("held", "show", number(first))
    assert.equal(1, code)
    assert.matches("nothing is held as", complaint)
  end)

  it("outlives a crash", function()
    local world = world_with_held(3)
    world:kill()
    world:start()
    assert.equal(3, #world:held())
    world:balances()
  end)
end)

describe("a held effect", function()
  after_each(kit.tidy)

  local function world_with_refused()
    local world = kit.world()
    world:story()
    world:start()
    world:open("alert-operators", "mail-contacts")
    world:opsgenie_fault { match = { method = "POST" }, status = 422, body = '{"message":"priority is no good"}' }
    world:publish { anomaly.new { controller_id = "CTRL-1" } }
    world:await_held(1)
    return world
  end

  it("keeps its id when it goes back to work, and is then delivered", function()
    local world = world_with_refused()
    local held = world:held()[1]
    assert.equal("effect", held.kind)
    assert.equal("never", held.verdict)
    assert.matches("priority is no good", held.reason)
    assert.equal("CTRL-1", held.key)
    world:must("held", "retry", number(held))
    world:lane_counts("alerts", { asked = 1, delivered = 1, held = 0 })
    world:settle()
    local runs = world:ask("trace", "CTRL-1", "--json").runs
    local effect = runs[1].flow == "alert-operators" and runs[1].effects[1] or runs[2].effects[1]
    assert.equal(held.effect_id, effect.id)
    assert.equal("delivered", effect.state)
    assert.equal(1, #world:alerts())
  end)

  it("that is given up counts as refused, and the trace says by whom and why", function()
    local world = world_with_refused()
    local held = world:held()[1]
    world:must("held", "discard", number(held), "--why", "called them")
    world:lane_counts("alerts", { asked = 1, delivered = 0, refused = 1, held = 0 })
    world:settle()
    assert.matches("called them", world:must("trace", "CTRL-1"))
    assert.equal(0, #world:alerts())
  end)

  it("is found by its flow and by its connection", function()
    local world = world_with_refused()
    assert.equal(1, #world:held("--flow", "alert-operators"))
    assert.equal(1, #world:held("--connection", "alerts"))
    assert.equal(0, #world:held("--flow", "mail-contacts"))
    assert.equal(0, #world:held("--connection", "mail"))
  end)
end)
