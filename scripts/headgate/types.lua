---@meta headgate

-- What an editor (lua-language-server) should know while a flow, a rule or a spec is written.  Nothing here runs.

-- ---- events ------------------------------------------------------------------------------------------------------

--- One thing that happened, as a source delivered it.  A step may put values of its own on it for later steps.
---@class headgate.Event
---@field id string          what makes it the same event when it comes again (`event: id:` of the manifest)
---@field key string         events of one key run one after another
---@field time integer       when it happened, ms since 1970
---@field received integer   when it reached Headgate, ms since 1970
---@field body any           the decoded JSON: integers exact, `json.null` for null
---@field headers table<string, any>
---@field properties headgate.Properties
---@field flow string        name of the flow
---@field attempt integer    1, 2, ...: which run of this event it is
---@field late_by? integer   ms: how late it is, of a run that a timer began, or of an occurrence that was missed
---@field timer? { name: string, data: any }   of a run that `timer.after` began
---@field result? headgate.Result              of a run that `next` on an effect began
---@field [string] any

--- The body of an event from a connection with `adapter: timer`.
---@class headgate.timer.Body
---@field moment string    when it was due, UTC: "2026-11-25T07:00:00.000Z"
---@field local string     the same in the zone: "2026-11-25T08:00:00+01:00"
---@field missed integer   how many earlier moments it stands for

--- How an effect ended that said `next = "step"`.
---@class headgate.Result
---@field outcome "delivered"|"refused"|"superseded"   refused: by a person, or not wanted
---@field id string            of the effect
---@field connection string
---@field verb string
---@field text string          what the far side said, or the person
---@field data? any            what the far side gave back, where its adapter passes it on
---@field attempts integer
---@field at integer           ms since 1970

--- What the source says of the message.
---@class headgate.Properties
---@field message_id? string
---@field type? string
---@field exchange? string
---@field routing_key? string
---@field content_type? string
---@field action? string     of an OpsGenie alert: "Create", "Acknowledge", "Close", ...; with the next four
---@field alert_id? string
---@field alias? string
---@field username? string   who did it
---@field is_own? boolean    our own call did it
---@field method? string      of a webhook
---@field path? string        of a webhook
---@field query? table<string, string>   of a webhook
---@field ce? table<string, any>         the attributes of a CloudEvent
---@field [string] any

--- What a step of the list is: `do` returns nothing, `ask` returns true or false, and why.
---@alias headgate.Do fun(event: headgate.Event)
---@alias headgate.Ask fun(event: headgate.Event): boolean, string?

--- What a rule made by `headgate.first` answers with: the row that fitted, without its `when`.
---@class headgate.Answer
---@field why string
---@field [string] any

-- ---- the world of a flow -----------------------------------------------------------------------------------------

--- JSON, exact: 64-bit integers stay integers, null is `json.null`, [] and {} are told apart.
---@class headgate.Json
---@field null lightuserdata   JSON's null; true in an `if`, equal only to itself
json = {}

--- The value of a JSON text.  Raises on bad JSON, on a duplicate key, on an integer beyond 64 bits.
---@param text string
---@return any
function json.decode(text) end

--- The JSON text of a value.  Raises where there is none: a function, NaN, a list with holes, bytes that are no UTF-8.
---@param value any
---@return string
function json.encode(value) end

--- Marks `list` as a JSON array, so that it stays [] when it is empty.
---@generic T
---@param list T[]
---@return T[]
function json.array(list) end

--- The moment of this run, ms since 1970.  It stands still while the run lasts; where a look-up said "later" and the
--- event is tried again, it is still the moment of the first try.
---@return integer
function now() end

--- A name that nothing else has (RFC 9562, version 8); the same one when the event is run again.
---@return string
function uuid() end

-- ---- what a flow keeps between its runs --------------------------------------------------------------------------

--- The flow's own durable memory.  What a run sets becomes true together with its effects; of a run that fails, nothing
--- does.  The next run sees it, be it on disk yet or not.
---@class headgate.State
state = {}

--- What is kept under `key` (1 to 200 bytes of text); nil if there is nothing.
---@param key string
---@return any
function state.get(key) end

--- Keeps `value`, whatever JSON can say in 64 KiB.  With `expires` it is gone after that time.
---@param key string
---@param value any
---@param options? { expires: string|integer }   "7d", or milliseconds
function state.set(key, value, options) end

--- Forgets what is kept under `key`.
---@param key string
function state.delete(key) end

--- Durable timers.
---@class headgate.Timer
timer = {}

--- After `duration` a new run of this event begins at `step`, with event.timer = { name, data } and event.late_by.
--- A timer of the same name is replaced; names are the flow's, so put the key into them.
---@param duration string|integer   "10m", or milliseconds
---@param step string
---@param data? any                 64 KiB as JSON
---@param options? { name: string }
function timer.after(duration, step, data, options) end

--- Stops the timer of that name; no error where there is none.
---@param name string
function timer.cancel(name) end

--- A line in the daemon's log, with the flow's name before it.
---@class headgate.Log
log = {}
---@param text string
function log.debug(text) end
---@param text string
function log.info(text) end
---@param text string
function log.warning(text) end
---@param text string
function log.error(text) end

-- ---- connections -------------------------------------------------------------------------------------------------
-- Each name in a manifest's `uses` is a table of that name.  A verb that writes returns nothing: what it asks for is
-- collected, stored together when the run ends, and delivered after that.  A look-up waits and returns its answer.
-- Every verb also takes `next`, the name of a step: when the effect is delivered or refused, a new run of the event
-- begins there, with event.result.

--- A connection with `adapter: opsgenie`.
---@class headgate.OpsGenie
local opsgenie = {}

--- A team, user, escalation or schedule: named by `id`, or by `name` (a user by `username`).
---@class headgate.opsgenie.Who
---@field type "team"|"user"|"escalation"|"schedule"
---@field id? string
---@field name? string
---@field username? string

---@class headgate.opsgenie.Create
---@field alias string          one open alert for each alias; a second `create` is merged into it
---@field message string        the headline, 130 characters
---@field description? string
---@field priority? "P1"|"P2"|"P3"|"P4"|"P5"
---@field tags? string[]
---@field details? table<string, string>   flat, texts only
---@field responders? headgate.opsgenie.Who[]   who is called
---@field visible_to? headgate.opsgenie.Who[]
---@field actions? string[]
---@field entity? string        what it is about: a controller's id
---@field user? string
---@field source? string
---@field note? string

--- One alert: by `alias`, or by the `id` that OpsGenie gave it.
---@class headgate.opsgenie.Alert
---@field alias? string
---@field id? string
---@field user? string
---@field source? string
---@field note? string

---@class headgate.opsgenie.Snooze: headgate.opsgenie.Alert
---@field duration string|integer   "2h", or milliseconds; counted from the run's `now()`
---@class headgate.opsgenie.Tags: headgate.opsgenie.Alert
---@field tags string[]
---@class headgate.opsgenie.Details: headgate.opsgenie.Alert
---@field details table<string, string>
---@class headgate.opsgenie.Keys: headgate.opsgenie.Alert
---@field keys string[]
---@class headgate.opsgenie.Escalate: headgate.opsgenie.Alert
---@field escalation string|{ id: string }   its name, or its id
---@class headgate.opsgenie.Assign: headgate.opsgenie.Alert
---@field owner string|{ id: string }        a user's name (a mail address), or id
---@class headgate.opsgenie.AddResponder: headgate.opsgenie.Alert
---@field responder headgate.opsgenie.Who

--- Opens an alert.  Where one of this alias is open, OpsGenie counts the repeat and changes nothing else.
---@param fields headgate.opsgenie.Create
function opsgenie.create(fields) end

--- Closes the alert.  The next `create` with its alias opens a new one.
---@param fields headgate.opsgenie.Alert
function opsgenie.close(fields) end

--- Says that somebody takes care; the alert stays open.
---@param fields headgate.opsgenie.Alert
function opsgenie.acknowledge(fields) end

---@param fields headgate.opsgenie.Alert
function opsgenie.unacknowledge(fields) end

---@param fields headgate.opsgenie.Snooze
function opsgenie.snooze(fields) end

---@param fields { alias?: string, id?: string, note: string, user?: string, source?: string }
function opsgenie.add_note(fields) end

---@param fields headgate.opsgenie.Tags
function opsgenie.add_tags(fields) end

---@param fields headgate.opsgenie.Tags
function opsgenie.remove_tags(fields) end

---@param fields headgate.opsgenie.Details
function opsgenie.add_details(fields) end

---@param fields headgate.opsgenie.Keys
function opsgenie.remove_details(fields) end

---@param fields { alias?: string, id?: string, priority: "P1"|"P2"|"P3"|"P4"|"P5" }
function opsgenie.set_priority(fields) end

---@param fields { alias?: string, id?: string, message: string }
function opsgenie.set_message(fields) end

---@param fields { alias?: string, id?: string, description: string }
function opsgenie.set_description(fields) end

---@param fields headgate.opsgenie.Assign
function opsgenie.assign(fields) end

--- Calls the next of an escalation.
---@param fields headgate.opsgenie.Escalate
function opsgenie.escalate(fields) end

--- Calls somebody else, too.
---@param fields headgate.opsgenie.AddResponder
function opsgenie.add_responder(fields) end

--- Tells a heartbeat that all is well.  One that is more than a minute late is not sent: it would hide an outage.
---@param fields { name: string }
function opsgenie.ping(fields) end

--- What `get` and `list` give: what OpsGenie says, in the same words whatever the dialect.
---@class headgate.opsgenie.Shown
---@field id string
---@field tinyId string          what people see; used again in time
---@field alias string
---@field message string
---@field status "open"|"closed"
---@field acknowledged boolean   an acknowledged alert is still open
---@field snoozed boolean
---@field count integer          how often it was created; stops at 100
---@field priority string
---@field owner string
---@field tags string[]
---@field details table<string, string>
---@field createdAt string       RFC 3339
---@field updatedAt string
---@field lastOccurredAt string
---@field [string] any

--- Looks an alert up.  It shows what has been delivered, not what is still on its way.
---@param fields { alias?: string, id?: string, tiny?: string }   one of them; `tiny` only in OpsGenie's own API
---@return headgate.opsgenie.Shown? alert   nil if there is none
function opsgenie.get(fields) end

--- Alerts that a search finds: { query = "status: open AND tag: storage", limit = 100 }.
---@param fields { query?: string, limit?: integer, offset?: integer, sort?: string, order?: "asc"|"desc" }
---@return headgate.opsgenie.Shown[]
function opsgenie.list(fields) end

--- How many a search finds; only in OpsGenie's own API.
---@param fields { query?: string }
---@return integer
function opsgenie.count(fields) end

---@param fields { name: string }
---@return { name: string, enabled: boolean, expired: boolean, interval: integer, intervalUnit: string }?
function opsgenie.heartbeat(fields) end

--- A connection with `adapter: smtp`.
---@class headgate.Smtp
local smtp = {}

--- One of a list, with what differs for this one; the rest is as for all.
---@class headgate.smtp.Recipient
---@field to string
---@field language? string
---@field data? table
---@field subject? string
---@field text? string
---@field html? string

--- From a template of the flow's folder ...
---@class headgate.smtp.Template
---@field to string|(string|headgate.smtp.Recipient)[]   one address; with `campaign`, also a list of recipients
---@field campaign? string   the job in whose course it is sent: one campaign writes to one address once, for ever
---@field template string    NAME of templates/NAME.LANGUAGE.txt (and .html)
---@field language string
---@field data table         what the template may name; a name that is missing is an error
---@field reply_to? string

--- ... or as it stands.
---@class headgate.smtp.Plain
---@field to string|(string|headgate.smtp.Recipient)[]
---@field campaign? string
---@field subject string
---@field text string
---@field html? string
---@field reply_to? string

--- One mail to one person.  It is built at once, so that every attempt sends the same bytes.
---@param fields headgate.smtp.Template | headgate.smtp.Plain
function smtp.send(fields) end

--- A connection with `adapter: amqp`.
---@class headgate.Amqp
local amqp = {}

---@class headgate.amqp.Publish
---@field exchange string
---@field key string         routing key
---@field body any           becomes JSON
---@field headers? table<string, any>
---@field type? string

--- Publishes with confirm; a message that no queue takes is held.
---@param fields headgate.amqp.Publish
function amqp.publish(fields) end

--- A connection with `adapter: http`.
---@class headgate.Http
local http = {}

---@class headgate.http.Bare
---@field path string | (string|number)[]   behind the connection's base: "/orders/17", or its parts, which are escaped
---@field query? table<string, any>         a list as value: its name several times
---@field headers? table<string, string|number>
---@field timeout? string                   "3s"
---@field next? string                      the step that its outcome comes to; the answer is in event.result.data

--- One of `json`, `form` and `text` is the body.
---@class headgate.http.Request : headgate.http.Bare
---@field json? any
---@field form? table<string, any>
---@field text? string
---@field content_type? string              of `text`
---@field idempotency_key? string           in place of the effect's id

--- Whether a repeat is harmless, the connection says: `idempotency: honoured`.
---@param fields headgate.http.Request
function http.post(fields) end
---@param fields headgate.http.Request
function http.put(fields) end
---@param fields headgate.http.Request
function http.patch(fields) end
---@param fields headgate.http.Bare
function http.delete(fields) end

---@class headgate.http.Answer
---@field status integer
---@field headers table<string, string>     names in small letters
---@field json? any                         where the answer is JSON
---@field text? string                      where it is something else

---@class headgate.http.Get
---@field path string | (string|number)[]
---@field query? table<string, any>
---@field headers? table<string, string|number>
---@field timeout? string
---@field cache? string                     how old the answer may be: "5m"

---@class headgate.http.Search : headgate.http.Get
---@field json? any
---@field form? table<string, any>
---@field text? string
---@field content_type? string

--- Looks something up; nil where there is none (404, 410).
---@param fields headgate.http.Get
---@return headgate.http.Answer?
function http.get(fields) end

--- The same by a POST that changes nothing.
---@param fields headgate.http.Search
---@return headgate.http.Answer?
function http.search(fields) end

-- The connections of this repository's flows.  A connection of another name is declared in the same way.
---@type headgate.OpsGenie
alerts = {}
---@type headgate.Smtp
mail = {}
---@type headgate.Amqp
broker = {}

-- ---- the spec kit (headgate.spec) --------------------------------------------------------------------------------

--- events/NAME.json, or a table like it.
---@class headgate.SampleEvent
---@field body any
---@field headers? table<string, any>
---@field properties? headgate.Properties
---@field received? integer   ms since 1970; `now()` answers it; the machine's clock where it is missing

--- Answers to look-ups by name: reads["alerts.get"] = function(fields) return { status = "open" } end
---@alias headgate.Reads table<string, fun(fields: table): any>

---@class headgate.SpecOptions
---@field reads? headgate.Reads
---@field state? table<string, any>   what the flow has kept
---@field after? headgate.SpecRun     go on with the state and the timers of this run

---@class headgate.FireOptions
---@field reads? headgate.Reads
---@field late_by? integer   ms

---@class headgate.SpecFlow
---@field folder string
---@field run fun(self, event: headgate.SampleEvent, options?: headgate.SpecOptions): headgate.SpecRun
---@field result fun(self, run: headgate.SpecRun, position: integer, how?: table, options?: table): headgate.SpecRun
---@field fire fun(self, run: headgate.SpecRun, name: string, options?: headgate.FireOptions): headgate.SpecRun

--- What came of one run.
---@class headgate.SpecRun
---@field ok boolean                    false: the run failed, and the event would be held
---@field error string                  why it failed, with its traceback
---@field skipped? string               why the event was not run at all: too old
---@field stopped_at? string            the `ask` that ended the run; nil if it ran past its last step
---@field decisions { step: string, answer: boolean, why: string? }[]   in order
---@field decided table<string, boolean>   answer of an `ask`, by its name
---@field why table<string, string>        its reason
---@field asked string[]                "alerts.create", "mail.send", ...: the effects' verbs, in order
---@field effects { id: string, connection: string, verb: string, fields: table, next: string? }[]
---@field state table<string, any>      what the flow keeps after this run
---@field timers { name: string, step: string, data: any, due: integer }[]   that wait then, the next one first

---@alias headgate.NativeReads fun(connection: string, query: string, fields: string): string

--- What the engine gives to scripts/headgate/spec.lua, and to nothing else.
---@class headgate.Native
---@field null lightuserdata
---@field decode fun(text: string): any
---@field encode fun(value: any): string
---@field array fun(list: table): table
---@field run fun(folder: string, event: string, reads: headgate.NativeReads): string
---@field rule fun(name: string): fun(...): ...
headgate_native = {}
