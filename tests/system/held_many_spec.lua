--- The way back out for many at once: found by what they have in common, sent back at a rate, edited, given up.
local kit = require "kit"

local function number(held) return ("%d"):format(held.held) end

local MENDED = [[return { run = function(event)
  mail.send { to = event.body.to, subject = "At last", text = event.id }
end }]]

describe("held events in numbers", function()
  after_each(kit.tidy)

  --- Half of them fail for one reason, half for another.
  local function world_with_held(many)
    local world = kit.world()
    world.path = world:flow("orders", { manifest = "uses: [mail]\nlimits: {per_recipient: none}",
      lua = [[return { run = function(event)
      error(event.body.number % 2 == 0 and "no price" or "no address", 0)
    end }]] })
    world:start()
    world:open "orders"
    local bodies = {}
    for i = 1, many do bodies[i] = { id = "M-" .. i, number = i, to = "ada@example.net" } end
    world:publish(bodies, "any")
    world:await_held(many)
    return world
  end

  --- Begins it, and does not wait for its end.
  local function retry_all(world, rate, output)
    os.execute(("HEADGATE_CONFIG=%s/headgate.yaml %s/headgate held retry all --rate %s --why slowly >%s 2>&1 &")
      :format(world.folder, os.getenv "BUILD" or "build", rate, output))
  end

  local function mend(world)
    kit.write(world.path .. "/flow.lua", MENDED)
    world:must("deploy", world.path, "--why", "mended")
  end

  it("are counted by what they have in common", function()
    local world = world_with_held(10)
    local groups = world:ask("held", "--group", "--json").groups
    assert.equal(2, #groups)
    assert.equal(5, groups[1].count)
    assert.equal(5, #world:held("--reason", "NO PRICE"))
    assert.equal(0, #world:held("--reason", "no such thing"))
    assert.equal(1, #world:held("--key", "M-3"))
    assert.equal(10, #world:held("--since", "1h"))
    assert.equal(0, #world:held("--until", "1h"))
    assert.equal(10, #world:held("--release", world:flow_status("orders").release:sub(1, 8)))
    local _, complaint, code = world:headgate("held", "--since", "yesterday")
    assert.equal(64, code)
    assert.matches("expected 2h", complaint)
  end)

  it("go back to work, those that match and no others", function()
    local world = world_with_held(20)
    mend(world)
    world:must("held", "retry", "--reason", "no price", "--why", "prices are there")
    world:counts("orders", { received = 20, finished = 10, held = 10, waiting = 0 })
    for _, held in ipairs(world:held()) do assert.matches("no address", held.reason) end
    world:settle()
    assert.equal(10, world:recipients()["ada@example.net"].mails)
    local audit = world:ask("audit", "--json").audit
    assert.equal("held retry all ended", audit[1].what)
    assert.matches("complete: 10 done", audit[1].text)
    assert.equal("reason no price", audit[2].subject)
  end)

  it("go back at the rate that was chosen, and stop when told to", function()
    local world = world_with_held(60)
    mend(world)
    retry_all(world, "5/s", world.folder .. "/out")
    kit.wait("some to be done", 10, function()
      return world:flow_status("orders").finished >= 3
    end)
    local _, complaint = world:headgate("held", "retry", "all", "--why", "another")
    assert.matches("another one is under way", complaint)
    world:must("held", "stop", "--why", "enough for today")
    world:settle()
    local flow = world:flow_status "orders"
    assert.is_true(flow.finished >= 3 and flow.finished < 60)
    assert.equal(60, flow.finished + flow.held)
    local view = world:ask("held", "progress", "--json")
    assert.is_true(view.was_stopped)
    assert.equal(flow.finished, view.done)
    kit.wait("the command to end", 5, function()
      return (kit.read(world.folder .. "/out") or ""):find "stopped after"
    end)
  end)

  it("run under the release that held them when that is asked for", function()
    local world = world_with_held(4)
    mend(world)
    world:must("held", "retry", "all", "--as-it-was", "--why", "to see it fail again")
    kit.wait("them to be held again", 15, function()
      local list = world:held()
      return #list == 4 and list[1].held > 4
    end)
    world:must("held", "retry", number(world:held()[1]), "--why", "under the live one")
    world:counts("orders", { received = 4, finished = 1, held = 3 })
    world:settle()
  end)

  it("are given up together, with one reason", function()
    local world = world_with_held(10)
    local _, complaint, code = world:headgate("held", "discard", "--why", "no filter was named")
    assert.equal(64, code)
    assert.matches("which%?", complaint)
    world:must("held", "discard", "2-4", "7", "--why", "test orders")
    world:counts("orders", { received = 10, held = 6, skipped = { discarded = 4 } })
    world:must("held", "discard", "--reason", "no address", "--why", "test orders")
    for _, held in ipairs(world:held()) do assert.matches("no price", held.reason) end
    world:settle()
  end)

  it("are edited on a copy that is audited, and keep the original beside it", function()
    local world = world_with_held(1)
    mend(world)
    local held = world:held()[1]
    world:must("held", "edit", number(held), "--set", 'body={"id":"M-1","number":1,"to":"bob@example.net"}',
      "--why", "wrong address")
    local whole = world:ask("held", "show", number(held), "--json")
    assert.matches("bob@", whole.event.body)
    assert.matches("ada@", whole.original.body)
    assert.equal("wrong address", whole.edited_why)
    local audit = world:ask("audit", "--json").audit[1]
    assert.equal("held edit", audit.what)
    assert.equal("body", audit.text)
    local _, complaint, code = world:headgate("held", "edit", number(held), "--set", "colour=red", "--why", "?")
    assert.equal(1, code)
    assert.matches("it has no field colour", complaint)
    world:must("held", "retry", number(held), "--why", "edited")
    world:counts("orders", { received = 1, finished = 1, held = 0 })
    world:settle()
    assert.equal(1, world:recipients()["bob@example.net"].mails)
    assert.is_nil(world:recipients()["ada@example.net"])
  end)

  it("stay held where a crash came before their turn, and are never doubled", function()
    local world = world_with_held(200)
    mend(world)
    retry_all(world, "100/s", "/dev/null")
    kit.wait("some to be done", 10, function() return world:flow_status("orders").finished >= 20 end)
    world:kill()
    world:start()
    world:balances()
    world:must("held", "retry", "--kind", "event", "--why", "the rest") -- not the mails of which nobody knows
    world:must("held", "progress")
    world:settle()
    local unknown = #world:held("--kind", "effect")
    world:counts("orders", { received = 200, finished = 200, held = 0 })
    local about = world:recipients()["ada@example.net"]
    assert.is_true(about.mails + unknown >= 200 and about.mails <= 200)
    assert.equal(0, about.repeats)
  end)
end)
