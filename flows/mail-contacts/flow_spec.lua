local spec = require "headgate.spec"
local flow = spec.flow()

local anna = { name = "Anna Winkler", email = "anna.winkler@example.com", language = "de-AT" }
local soren = { name = "Søren Holm", email = "soren.holm@example.com", language = "da" }

--- A controller of a site with these contacts goes offline.
local function offline(contacts)
  return flow:run(spec.event("offline-raised", { body = { site = { contacts = contacts } } }))
end

--- "who template.language" for each mail.
local function letters(run)
  local list = {}
  for _, effect in ipairs(run.effects) do
    local mail = effect.fields
    list[#list + 1] = ("%s %s.%s"):format(mail.to, mail.template, mail.language)
  end
  return list
end

describe("a controller goes offline", function()
  it("is told to each contact in their language", function()
    local run = flow:run(spec.event "offline-raised")

    assert.same({ "anna.winkler@example.com offline.de", "soren.holm@example.com offline.da" }, letters(run))
    assert.equal("2 of 2 contacts", run.why.has_recipients)
  end)

  it("is told with where it is and since when", function()
    local mail = flow:run(spec.event "offline-raised").effects[1].fields

    assert.same({ name = "Anna Winkler", controller = "CTRL-00042", site = "Havnegade Garage",
      day = "2026-11-22", time = "09:41" }, mail.data)
  end)

  it("is told in English where no language is known, or we do not write in it", function()
    local run = offline { { name = "Grace Bell", email = "grace@example.com" },
      { name = "Luca Riva", email = "luca@example.com", language = "it" } }

    assert.same({ "grace@example.com offline.en", "luca@example.com offline.en" }, letters(run))
  end)

  it("is no longer news after two hours", function()
    local too_late = spec.event("offline-raised").received + 2 * 60 * 60 * 1000
    local run = flow:run(spec.event("offline-raised", { received = too_late }))

    assert.is_string(run.skipped)
    assert.same({}, run.asked)
  end)
end)

describe("a controller is back", function()
  it("is told to the same contacts", function()
    local run = flow:run(spec.event "offline-cleared")
    assert.same({ "anna.winkler@example.com back-online.de", "soren.holm@example.com back-online.da" }, letters(run))
  end)
end)

describe("nobody is written to", function()
  it("about a mere change", function()
    local run = flow:run(spec.event "offline-updated")

    assert.same({}, run.asked)
    assert.equal("is_news", run.stopped_at)
    assert.equal("it was updated", run.why.is_news)
  end)

  it("where monitoring was not bought", function()
    local run = flow:run(spec.event "offline-not-bought")

    assert.same({}, run.asked)
    assert.equal("is_monitored", run.stopped_at)
    assert.equal("monitoring was not bought", run.why.is_monitored)
  end)

  it("where monitoring has ended", function()
    local yesterday = { monitoring = { through = "2026-11-21" } }
    local run = flow:run(spec.event("offline-raised", { body = { site = yesterday } }))

    assert.same({}, run.asked)
    assert.equal("monitoring ended on 2026-11-21", run.why.is_monitored)
  end)

  it("at a site without contacts", function()
    local run = offline(spec.list {})

    assert.equal("has_recipients", run.stopped_at)
    assert.equal("0 of 0 contacts", run.why.has_recipients)
  end)
end)

describe("a contact with a flaw", function()
  it("is left out with a reason, and the others get their mail", function()
    local nobody, forger = { name = "Ben Lake" }, { email = "ben@example.com\r\nBcc: all@example.com" }
    local run = offline { nobody, anna, spec.null, forger, soren }

    assert.same({ "anna.winkler@example.com offline.de", "soren.holm@example.com offline.da" }, letters(run))
    assert.equal("2 of 5 contacts: contact 1 has no address, contact 3 cannot be read, "
      .. "contact 4 has an address that cannot be right", run.why.has_recipients)
  end)

  it("is greeted without a name where none is known", function()
    local run = offline { { email = "desk@example.com", name = spec.null, language = "en" } }
    assert.is_false(run.effects[1].fields.data.name)
  end)

  it("is written to once, however often they are listed", function()
    local run = offline { anna, { name = "A. Winkler", email = "Anna.Winkler@example.com" } }
    assert.same({ "anna.winkler@example.com offline.de" }, letters(run))
  end)
end)

describe("a report with a flaw is held, and nobody is written to", function()
  local function reason(changes)
    local run = flow:run(spec.event("offline-raised", { body = changes }))
    assert.is_false(run.ok)
    return run.error
  end

  it("when it has no site", function()
    assert.matches("body.site: a table is needed, found null", reason { site = spec.null }, 1, true)
  end)

  it("when its site has no name", function()
    assert.matches("body.site.name: a text is needed, found null", reason { site = { name = spec.null } }, 1, true)
  end)

  it("when its contacts are no list", function()
    assert.matches("body.site.contacts: a list is needed", reason { site = { contacts = "anna" } }, 1, true)
  end)
end)

describe("the templates", function()
  it("speak each language of the language rule", function()
    for _, sample in ipairs { "offline-raised", "offline-cleared" } do
      for _, language in ipairs { "da", "de", "en" } do
        local contacts = { { email = "someone@example.com", language = language } }
        local run = flow:run(spec.event(sample, { body = { site = { contacts = contacts } } }))
        assert.is_true(run.ok, run.error)
        assert.equal(language, run.effects[1].fields.language)
      end
    end
  end)
end)
