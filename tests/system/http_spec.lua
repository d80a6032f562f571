--- Plain HTTP, both ways: requests go out exactly as asked, webhooks are answered once what they caused is on disk.
local kit = require "kit"
local process = require "process"

local SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

--- A world with the simulated far side as `partner`, and `hooks` for what comes in by bearer token.
local function new_world(partner)
  local world = kit.world()
  world.config.webhooks = { listen = "127.0.0.1:0", limit = "64KiB" }
  world.config.connections.partner = { adapter = "http", base = world.http .. "/v1", private = true }
  for name, value in pairs(partner or {}) do world.config.connections.partner[name] = value end
  world.config.connections.hooks = { adapter = "http", webhook_verify = "bearer", webhook_secret = "hush" }
  return world
end

--- A flow that a webhook starts: `on` says more of it, `manifest` more of its flow.yaml.
local function hook_flow(world, name, lua, about)
  about = about or {}
  world:flow(name, { lua = lua, yaml = ([[
flow: %s
title: A flow of the tests
owner: nobody
on: {%s: {%s}}
event: %s
%s
]]):format(name, about.connection or "hooks", about.on or "", about.event or "{id: body.id}",
    about.manifest or "uses: [partner]") })
end

--- The listener's port, as the daemon said it last.
local function port(world) return world:log():match ".*listening on 127%.0%.0%.1, port (%d+)" end

--- POSTs and gives status, headers and body; `request`: path, body, headers, method, background (a file for it all).
local function send(world, request)
  local argv = { "curl", "-sS", "-i", "--noproxy", "*", "-X", request.method or "POST", "--max-time", "20",
    ("http://127.0.0.1:%s%s"):format(port(world), request.path), "--data-binary", "@-" }
  local headers = request.headers or { ["Content-Type"] = "application/json" }
  if not request.is_naked then headers.Authorization = headers.Authorization or "Bearer hush" end
  for name, value in pairs(headers) do
    argv[#argv + 1] = "-H"
    argv[#argv + 1] = name .. ": " .. value
  end
  local body = request.body or "{}"
  if type(body) == "table" then body = kit.json.encode(body) end
  if request.background then
    process.write(request.background .. ".body", body)
    return process.start("curl", argv, { log = request.background, input = request.background .. ".body" })
  end
  local output = process.run(argv, { input = body })
  return tonumber(output:match "^HTTP/1.1 (%d+)" or 0), output
end

--- Requests of a path, without the tests' own.
local function came(world, path)
  local list = {}
  for _, request in ipairs(world:http_requests()) do
    if not path or request.path == path then list[#list + 1] = request end
  end
  return list
end

local function await_came(world, path, many)
  local list
  kit.wait(many .. " requests of " .. path, 15, function()
    list = came(world, path)
    return #list >= many, #list
  end)
  return list
end

local post = [[return { run = function(event)
  partner.post { path = "/orders", json = { id = event.id, n = event.body.n } }
end }]]

describe("an effect over HTTP", function()
  after_each(kit.tidy)

  it("arrives exactly as the flow asked, with integers exact and a key by which a repeat is known", function()
    local world = new_world { bearer = "open-sesame", headers = { ["X-Tenant"] = "acme" } }
    hook_flow(world, "orders", [[return { run = function(event)
      partner.post { path = {"orders", "a/b c", event.body.n}, query = { q = {"ä&b", 2}, z = true },
        headers = { ["X-Trace"] = "t-1" }, json = { n = event.body.n, list = json.array {} } }
      partner.put { path = "/form", form = { b = "x y", a = 9007199254740993 } }
      partner.patch { path = "/text", text = "hällo", content_type = "text/x; charset=utf-8" }
      partner.delete { path = "/gone" }
    end }]])
    world:start()
    world:open "orders"
    assert.equal(200, (send(world, { path = "/hooks/hooks/orders", body = '{"id":"O-1","n":9007199254740993}' })))
    world:lane_counts("partner", { delivered = 4 })
    world:settle()
    local byMethod = {}
    for _, request in ipairs(came(world)) do byMethod[request.method] = request end
    local posted = byMethod.POST
    assert.equal("/v1/orders/a%2Fb%20c/9007199254740993", posted.path)
    assert.equal('{"list":[],"n":9007199254740993}', posted.body)
    assert.equal("true", posted.query.z)
    assert.equal("application/json", posted.headers["content-type"])
    assert.equal("Bearer open-sesame", posted.headers.authorization)
    assert.equal("acme", posted.headers["x-tenant"])
    assert.equal("t-1", posted.headers["x-trace"])
    assert.matches("^%x+$", posted.headers["idempotency-key"])
    assert.equal("a=9007199254740993&b=x%20y", byMethod.PUT.body)
    assert.is_nil(byMethod.PUT.headers["idempotency-key"])
    assert.equal("hällo", byMethod.PATCH.body)
    assert.equal("text/x; charset=utf-8", byMethod.PATCH.headers["content-type"])
    assert.equal("/v1/gone", byMethod.DELETE.path)
    assert.is_nil(world:log():find("open-sesame", 1, true))
  end)

  it("is tried again while the far side is busy, and held where it refuses the content", function()
    local world = new_world { verdicts = { ["409"] = "done" } }
    hook_flow(world, "orders", post)
    world:start()
    world:open "orders"
    world:http_fault { status = 503, times = 2, headers = { ["Retry-After"] = "1" }, body = "busy" }
    send(world, { path = "/hooks/hooks/orders", body = { id = "O-1" } })
    world:lane_counts("partner", { delivered = 1 }, 30)
    assert.equal(3, #came(world, "/v1/orders"))
    local keys = {}
    for _, request in ipairs(came(world, "/v1/orders")) do keys[request.headers["idempotency-key"]] = true end
    assert.is_truthy(next(keys))
    assert.is_nil(next(keys, (next(keys))))

    world:http_fault { status = 409, body = "is there" }
    send(world, { path = "/hooks/hooks/orders", body = { id = "O-2" } })
    world:lane_counts("partner", { delivered = 2 }, 30)
    world:http_fault { status = 422, body = "no such article" }
    send(world, { path = "/hooks/hooks/orders", body = { id = "O-3" } })
    assert.matches("HTTP 422: no such article", world:await_held(1)[1].reason)
    world:http_fault { status = 302, headers = { Location = "https://elsewhere.example/" } }
    send(world, { path = "/hooks/hooks/orders", body = { id = "O-4" } })
    world:await_held(2)
    world:balances()
  end)

  it("that was sent and not answered is unknown, unless a repeat is harmless", function()
    local world = new_world()
    world.config.connections.keyed = { adapter = "http", base = world.http .. "/keyed", private = true,
      idempotency = "honoured" }
    hook_flow(world, "orders", [[return { run = function(event)
      partner.post { path = "/orders", json = { id = event.id } }
      keyed.post { path = "/orders", json = { id = event.id } }
    end }]], { manifest = "uses: [partner, keyed]" })
    world:start()
    world:open "orders"
    world:http_fault { cut = "after", match = { path_prefix = "/v1" } }
    world:http_fault { cut = "after", match = { path_prefix = "/keyed" } }
    send(world, { path = "/hooks/hooks/orders", body = { id = "O-1" } })
    local held = world:await_held(1)
    assert.equal("unknown", held[1].verdict)
    world:lane_counts("keyed", { delivered = 1 }, 30)
    local keyed = came(world, "/keyed/orders")
    assert.equal(2, #keyed)
    assert.equal(keyed[1].headers["idempotency-key"], keyed[2].headers["idempotency-key"])
    assert.equal(1, #came(world, "/v1/orders"))
  end)

  it("is unknown, too, once a reload says that the far side does not honour the key any more", function()
    local world = new_world { idempotency = "honoured" }
    hook_flow(world, "orders", post)
    world:start()
    world:open "orders"
    world.config.connections.partner.idempotency = "send"
    world:configure()
    assert.matches("connection partner: changed", world:must "reload")
    world:http_fault { cut = "after" }
    send(world, { path = "/hooks/hooks/orders", body = { id = "O-1" } })
    assert.equal("unknown", world:await_held(1)[1].verdict)
    assert.equal(1, #came(world, "/v1/orders"))
  end)

  it("reaches no address of the machine unless its connection says so", function()
    local world = new_world { private = false }
    world:configure()
    local output, complaint, code = world:headgate "run"
    assert.equal(78, code)
    assert.matches("private: true", output .. complaint)
    world.config.connections.partner.base = "https://127.0.0.1:1/"
    world:configure()
    output, complaint, code = world:headgate "run"
    assert.equal(78, code)
    assert.matches("is no address of the public internet", output .. complaint)
  end)

  it("carries an OAuth token that is fetched once, and renewed once where it is refused", function()
    local world = new_world()
    world.config.connections.partner = { adapter = "http", base = world.http .. "/secure", private = true,
      oauth = world.http .. "/oauth/token", client_id = "me", client_secret = "quiet-please" }
    hook_flow(world, "orders", post)
    world:start()
    world:open "orders"
    for i = 1, 5 do send(world, { path = "/hooks/hooks/orders", body = { id = "O-" .. i } }) end
    world:lane_counts("partner", { delivered = 5 }, 30)
    assert.equal(1, #came(world, "/oauth/token"))
    kit.run { "curl", "-sS", "--noproxy", "*", "-X", "POST", world.http .. "/sandbox/http/revoke" }
    for i = 6, 9 do send(world, { path = "/hooks/hooks/orders", body = { id = "O-" .. i } }) end
    world:lane_counts("partner", { delivered = 9 }, 30)
    assert.equal(2, #came(world, "/oauth/token"))
    for _, secret in ipairs { "quiet-please", "sandbox-1", "sandbox-2" } do
      assert.is_nil(world:log():find(secret, 1, true))
    end
  end)

  it("with a key that the far side does not take waits, and pauses its connection", function()
    local world = new_world { bearer = "open-sesame" }
    hook_flow(world, "orders", post)
    world:start()
    world:open "orders"
    world:http_fault { status = 401, times = -1, body = "Bearer open-sesame is unknown" }
    send(world, { path = "/hooks/hooks/orders", body = { id = "O-1" } })
    world:says "does not take our credentials"
    world:lane_counts("partner", { waiting = 1, held = 0, state = "paused" })
    assert.is_nil(world:log():find("open-sesame", 1, true))
  end)
end)

describe("a look-up over HTTP", function()
  after_each(kit.tidy)

  local look_up = [[return { run = function(event)
    local answer = partner.get { path = {"sites", event.body.site}, cache = "5m", timeout = "5s" }
    partner.put { path = {"seen", event.id},
      json = answer and { status = answer.status, site = answer.json.path, type = answer.headers["content-type"] }
        or { missing = true } }
  end }]]

  it("suspends the run, is cached, tried again within its time, and nil where there is none", function()
    local world = new_world()
    hook_flow(world, "sites", look_up)
    world:start()
    world:open "sites"
    world:http_fault { status = 503, match = { path_prefix = "/v1/sites/1" } }
    for i = 1, 3 do send(world, { path = "/hooks/hooks/sites", body = { id = "S-" .. i, site = 1 } }) end
    world:lane_counts("partner", { delivered = 3 })
    assert.equal(2, #came(world, "/v1/sites/1")) -- one busy, one good; then the cache
    local put = came(world, "/v1/seen/S-3")[1]
    assert.same({ status = 200, site = "/v1/sites/1", type = "application/json" }, kit.json.decode(put.body))

    world:http_fault { status = 404, match = { path_prefix = "/v1/sites/2" }, times = 2 }
    for i = 4, 5 do send(world, { path = "/hooks/hooks/sites", body = { id = "S-" .. i, site = 2 } }) end
    world:lane_counts("partner", { delivered = 5 })
    assert.same({ missing = true }, kit.json.decode(came(world, "/v1/seen/S-4")[1].body))
    assert.equal(2, #came(world, "/v1/sites/2")) -- what is missing is asked for again
    world:settle()
  end)

  it("that the far side refuses makes the event held; one that it has no time for waits in the inbox", function()
    local world = new_world()
    hook_flow(world, "sites", look_up)
    world:start()
    world:open "sites"
    world:http_fault { status = 400, body = "bad site", match = { path_prefix = "/v1/sites/3" } }
    send(world, { path = "/hooks/hooks/sites", body = { id = "S-1", site = 3 } })
    assert.matches("HTTP 400: bad site", world:await_held(1)[1].reason)
    world:http_fault { status = 429, headers = { ["Retry-After"] = "7" }, match = { path_prefix = "/v1/sites/4" } }
    assert.equal(200, (send(world, { path = "/hooks/hooks/sites", body = { id = "S-2", site = 4 } })))
    world:counts("sites", { finished = 1 }, 20)
    assert.equal(2, #came(world, "/v1/sites/4"))
  end)
end)

describe("a webhook", function()
  after_each(kit.tidy)

  it("is refused with the status that says why", function()
    local world = new_world()
    hook_flow(world, "orders", post, { on = "path: /shop/orders, rate: 600/m",
      event = "{id: body.id, limit: 1KiB}" })
    world:start()
    world:open "orders"
    local function status(request)
      request.path = request.path or "/shop/orders"
      return (send(world, request))
    end
    assert.equal(404, status { path = "/hooks/hooks/orders" })
    assert.equal(405, status { method = "PUT" })
    assert.equal(401, status { headers = { Authorization = "Bearer wrong" } })
    assert.equal(401, status { is_naked = true })
    assert.equal(413, status { body = ('"%s"'):format(("x"):rep(2000)) })
    assert.equal(413, status { body = ('"%s"'):format(("x"):rep(100000)) })
    assert.equal(415, status { headers = { ["Content-Type"] = "text/csv" }, body = "a;b" })
    assert.equal(200, status { body = { id = "O-1" } })
    world:counts("orders", { received = 1, finished = 1 })
    local metrics = kit.run { "curl", "-sS", "--unix-socket", world.config.data .. "/admin.sock", "http://x/metrics" }
    for code, count in pairs { ["200"] = 1, ["401"] = 2, ["413"] = 1, ["415"] = 1, ["503"] = 0 } do
      local line = ('headgate_webhook_requests_total{source="hooks",flow="orders",code="%s"} %d\n'):format(code, count)
      assert.truthy(metrics:find(line, 1, true), line)
    end
    world:must("off", "orders", "--why", "not now")
    local code, answer = send(world, { path = "/shop/orders", body = { id = "O-2" } })
    assert.equal(503, code)
    assert.matches("Retry%-After: %d+", answer)
    world:must("on", "orders", "--why", "again")
    assert.equal(200, status { body = { id = "O-2" } })
    assert.equal(200, status { body = { id = "O-2" } })
    world:counts("orders", { received = 3, finished = 2, skipped = { ["repeat"] = 1 } })
    world:settle()
    assert.equal(2, #came(world, "/v1/orders"))
  end)

  it("is not answered 2xx before it is on disk, whenever the daemon dies", function()
    local world = new_world()
    hook_flow(world, "orders", [[return { run = function(event)
      partner.get { path = "/slow" }
      partner.put { path = "/orders", json = { id = event.id } }
    end }]])
    world:start()
    world:open "orders"
    world:http_fault { delay_ms = 60000, match = { path_prefix = "/v1/slow" } }
    local curl = send(world, { path = "/hooks/hooks/orders", body = { id = "O-1" },
      background = world.folder .. "/curl" })
    await_came(world, "/v1/slow", 1)
    world:kill()
    curl:ended()
    assert.is_nil((process.read(world.folder .. "/curl")):find("HTTP/1.1 2", 1, true))

    world:http_fault { status = 503, times = -1, match = { path_prefix = "/v1/orders" } }
    world:start()
    world:counts("orders", { received = 0 })
    assert.equal(200, (send(world, { path = "/hooks/hooks/orders", body = { id = "O-1" } })))
    world:kill()
    world:http_heals()
    world:start()
    assert.equal(200, (send(world, { path = "/hooks/hooks/orders", body = { id = "O-1" } })))
    world:counts("orders", { received = 2, finished = 1, skipped = { ["repeat"] = 1 } })
    world:lane_counts("partner", { delivered = 1 }, 30)
    world:settle()
  end)

  it("is told to come again while the store is full, and nothing is lost", function()
    local world = new_world()
    world.config.store = { limit = "8MiB" }
    hook_flow(world, "orders", [[return { run = function(event)
      partner.put { path = {"orders", event.id}, json = event.body }
    end }]])
    world:start()
    world:open "orders"
    world:http_fault { status = 503, times = -1, match = { path_prefix = "/v1/orders" } }
    local taken, full = 0, nil
    for i = 1, 400 do
      local code = send(world, { path = "/hooks/hooks/orders", body = { id = "O-" .. i, text = ("x"):rep(60000) } })
      if code == 503 then full = true break end
      assert.equal(200, code)
      taken = taken + 1
    end
    assert.is_true(full)
    world:http_heals()
    world:lane_counts("partner", { delivered = taken }, 60)
    world:counts("orders", { received = taken, finished = taken })
    world:settle()
  end)

  it("is proven by Standard Webhooks, and known again by its id", function()
    local world = new_world()
    world.config.connections.hooks = { adapter = "http", webhook_verify = "standard", webhook_secret = SECRET }
    hook_flow(world, "orders", [[return { run = function(event)
      partner.put { path = {"orders", event.id}, json = { n = event.body.n } }
    end }]], { event = "{id: properties.message_id}" })
    world:start()
    world:open "orders"
    local key = kit.run({ "sh", "-c", ("printf %%s %s | base64 -d | od -An -tx1 | tr -d ' \n'"):format(SECRET:sub(7)) })
    local function signed(id, body, offset)
      local time = os.time() + (offset or 0)
      local mac = kit.run({ "sh", "-c", ("openssl dgst -sha256 -mac HMAC -macopt hexkey:%s -binary | base64")
        :format(key) }, { input = ("%s.%d.%s"):format(id, time, body) })
      return { ["Content-Type"] = "application/json", ["webhook-id"] = id, ["webhook-timestamp"] = time,
        ["webhook-signature"] = "v1,bm9wZQ== v1," .. mac:gsub("%s", "") }
    end
    local function status(headers, body)
      return (send(world, { path = "/hooks/hooks/orders", body = body, headers = headers, is_naked = true }))
    end
    assert.equal(200, status(signed("msg-1", '{"n":1}'), '{"n":1}'))
    assert.equal(200, status(signed("msg-1", '{"n":1}'), '{"n":1}'))
    assert.equal(401, status(signed("msg-2", '{"n":1}'), '{"n":2}'))
    assert.equal(401, status(signed("msg-2", '{"n":1}', -400), '{"n":1}'))
    world:counts("orders", { received = 2, finished = 1, skipped = { ["repeat"] = 1 } })
    world:settle()
    assert.equal(1, #came(world, "/v1/orders/msg-1"))
  end)

  it("may be a CloudEvent in headers, in an envelope, or many in a batch", function()
    local world = new_world()
    hook_flow(world, "orders", [[return { run = function(event)
      partner.put { path = "/seen", query = { id = event.id }, json = { n = event.body.n, type = event.properties.type,
        subject = event.properties.ce.subject } }
    end }]], { event = "{id: properties.message_id, key: properties.ce.subject}" })
    world:start()
    world:open "orders"
    local function status(type, body, headers)
      headers = headers or {}
      headers["Content-Type"] = type
      return (send(world, { path = "/hooks/hooks/orders", body = body, headers = headers }))
    end
    local function envelope(id) return {
      specversion = "1.0", id = id, source = "/shop", type = "order.placed", subject = "s-1", data = { n = 7 } } end
    assert.equal(200, status("application/json", '{"n":1}', { ["ce-specversion"] = "1.0", ["ce-id"] = "b-1",
      ["ce-source"] = "/shop", ["ce-type"] = "order.placed", ["ce-subject"] = "s%20%C3%A4" }))
    assert.equal(200, status("application/cloudevents+json; charset=UTF-8", envelope "e-1"))
    assert.equal(200, status("application/cloudevents+json", envelope "e-1"))
    assert.equal(200, status("application/cloudevents-batch+json", { envelope "e-1", envelope "e-2", envelope "e-3" }))
    assert.equal(200, status("application/cloudevents-batch+json", "[]"))
    assert.equal(400, status("application/cloudevents-batch+json", { envelope "e-4", { id = "e-5" } }))
    assert.equal(400, status("application/cloudevents+json", "{"))
    world:counts("orders", { received = 6, finished = 4, skipped = { ["repeat"] = 2 } })
    world:settle()
    local bodies = {}
    for _, request in ipairs(came(world, "/v1/seen")) do bodies[request.query.id] = kit.json.decode(request.body) end
    assert.same({ n = 1, type = "order.placed", subject = "s ä" }, bodies["/shop b-1"])
    assert.same({ n = 7, type = "order.placed", subject = "s-1" }, bodies["/shop e-3"])
  end)

  it("may be a form, which becomes JSON", function()
    local world = new_world()
    hook_flow(world, "orders", [[return { run = function(event)
      partner.put { path = "/seen", json = event.body }
    end }]], { on = "accept: form" })
    world:start()
    world:open "orders"
    assert.equal(415, (send(world, { path = "/hooks/hooks/orders", body = {} })))
    assert.equal(200, (send(world, { path = "/hooks/hooks/orders", body = "id=F-1&a=x+y%26z&b=1&b=2&b=3",
      headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } })))
    world:lane_counts("partner", { delivered = 1 })
    assert.same({ id = "F-1", a = "x y&z", b = { "1", "2", "3" } }, kit.json.decode(came(world, "/v1/seen")[1].body))
  end)

  it("has a path of its own: two flows cannot share one, and without a listener or a proof there is none", function()
    local world = new_world()
    hook_flow(world, "a", post, { on = "path: /x" })
    hook_flow(world, "b", post, { on = "path: /x" })
    world:start()
    world:must("on", "a", "--why", "test")
    world:must("on", "b", "--why", "test")
    kit.wait("one of them to be refused", 10, function()
      return (world:flow_status "a").is_refused ~= (world:flow_status "b").is_refused
    end)
    assert.matches("has the path /x already", world:flow_status("a").source .. world:flow_status("b").source)
    world:stop()
    world.config.webhooks = nil
    world:start()
    assert.matches("headgate.yaml needs `webhooks:", world:flow_status("a").source)
  end)
end)

describe("TLS", function()
  after_each(kit.tidy)

  --- A CA, and what it signed for `localhost`: the server's certificate, and ours.
  local function certificates(world)
    local folder = world.folder .. "/tls"
    kit.shell("mkdir %s", folder)
    kit.shell([[cd %s && {
      key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
      openssl req -x509 $key -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
      for name in server ours; do
        openssl req $key -subj /CN=$name -addext subjectAltName=DNS:localhost -keyout $name.key -out $name.csr
        openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy \
          -out $name.pem
      done
    } 2>>openssl.log]], folder)
    return folder
  end

  --- A server that answers whoever has a certificate of that CA, and nobody else; its port.
  local function server(folder)
    process.start("openssl", { "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", folder .. "/server.pem",
      "-key", folder .. "/server.key", "-CAfile", folder .. "/ca.pem", "-Verify", "1", "-verify_return_error", "-www" },
      { log = folder .. "/server.log" })
    return kit.wait("the server to listen", 10, function()
      return (process.read(folder .. "/server.log") or ""):match "ACCEPT 127%.0%.0%.1:(%d+)"
    end)
  end

  it("trusts the CA of the connection, and shows our certificate to who wants to see one", function()
    local world = new_world()
    local folder = certificates(world)
    local base = "https://localhost:" .. server(folder)
    local function connection(more)
      local all = { adapter = "http", base = base, private = true }
      for name, file in pairs(more) do all[name] = folder .. "/" .. file end
      return all
    end
    world.config.connections.known = connection { ca = "ca.pem", cert = "ours.pem", cert_key = "ours.key" }
    world.config.connections.unknown = connection { ca = "ca.pem" }
    world.config.connections.doubting = connection { cert = "ours.pem", cert_key = "ours.key" }
    hook_flow(world, "looks", [[return { run = function(event)
      local answer = _ENV[event.body.who].get { path = "/", timeout = "2s" }
      partner.put { path = {"seen", event.body.who}, json = answer.status }
    end }]], { manifest = "uses: [partner, known, unknown, doubting]" })
    world:start()
    world:open "looks"
    for _, who in ipairs { "known", "unknown", "doubting" } do
      assert.equal(200, (send(world, { path = "/hooks/hooks/looks", body = { id = who, who = who } })))
    end
    world:counts("looks", { received = 3, finished = 1, waiting = 2 })
    world:lane_counts("partner", { delivered = 1 })
    assert.equal("200", came(world, "/v1/seen/known")[1].body)
    world:says "certificate of the far side is not trusted"
  end)
end)
