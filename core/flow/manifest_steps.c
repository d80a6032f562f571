/* manifest_steps.c - the steps of a flow: what is drawn is what runs
 *
 * Steps run from top to bottom.  An `ask` may jump, and a `do` that says `then`, but only down or to the end: so every
 * run ends and no picture of a flow has a circle in it. */
#include "core/base/nearest.h"
#include "core/config/yaml.h"
#include "core/flow/manifest.h"

static const struct option step_options[] = {
    {.name = "do", .kind = OPTION_TEXT, .help = "a function of flow.lua that acts or looks up"},
    {.name = "ask", .kind = OPTION_TEXT, .help = "a function of flow.lua that decides"},
    {.name = "title", .kind = OPTION_TEXT, .least = 1, .most = 200, .help = "the step in a sentence for people"},
    {.name = "yes", .kind = OPTION_TEXT, .help = "a later step, or stop"},
    {.name = "no", .kind = OPTION_TEXT, .help = "a later step, or stop"},
    {.name = "then", .kind = OPTION_TEXT, .help = "after a `do`: a later step, or stop"},
    OPTION_END,
};

/* What is at hand while the list is checked. */
struct steps {
    struct manifest *manifest; /* gets the steps */
    struct err *err;           /* where to say what is wrong */
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lua_word(struct slice name)
{
    static const char *const words[] = {"and",      "break",  "do",   "else", "elseif", "end",   "false", "for",
                                        "function", "goto",   "if",   "in",   "local",  "nil",   "not",   "or",
                                        "repeat",   "return", "then", "true", "until",  "while", NULL};
    for (const char *const *word = words; *word; word++)
        if (slice_is(name, *word))
            return true;
    return false;
}

static bool is_step_name(const struct steps *steps, const struct yaml *at)
{
    char shown[YAML_SHOWN_MAX];
    struct slice name = at->text;
    bool ok = name.size > 0 && name.size <= NAME_MAX_BYTES && is_letter(name.data[0]) && !is_lua_word(name);
    for (size_t i = 0; ok && i < name.size; i++)
        ok = is_letter(name.data[i]) || is_digit(name.data[i]);
    if (!ok)
        return yaml_err(at, steps->err,
                        "%s: found %s; expected the name of a function in flow.lua: letters, digits "
                        "and _, at most %d, no word of Lua, such as find_site",
                        at->key.data, yaml_shown(name, shown), NAME_MAX_BYTES);
    if (slice_is(name, "stop"))
        return yaml_err(at, steps->err, "%s: a step cannot be named \"stop\", which ends a run; expected another name",
                        at->key.data);
    for (int i = 0; i < steps->manifest->step_count; i++) {
        const struct step *other = &steps->manifest->steps[i];
        if (other->name && slice_is(name, other->name))
            return yaml_err(at, steps->err,
                            "%s: found the step %s a second time; it already stands in line %d, and "
                            "each step has its own name",
                            at->key.data, yaml_shown(name, shown), other->line);
    }
    return true;
}

static bool read_step(struct steps *steps, const struct yaml *at)
{
    struct manifest *manifest = steps->manifest;
    struct settings *settings = settings_new(step_options);
    const struct yaml *act = yaml_get(at, "do"), *ask = yaml_get(at, "ask");
    const struct yaml *target = yaml_get(at, "yes") ? yaml_get(at, "yes") : yaml_get(at, "no");
    const struct yaml *then = yaml_get(at, "then");
    bool ok = yaml_settings(at, step_options, NULL, NULL, false, settings, steps->err);
    if (ok && !act && !ask)
        ok = yaml_err(at, steps->err,
                      "found a step that says neither what to do nor what to ask; expected "
                      "`do: name` or `ask: name`");
    else if (ok && act && ask)
        ok = yaml_err_key(ask, steps->err, "found do and ask in one step; expected one of them: make it two steps");
    else if (ok && act && target)
        ok = yaml_err_key(target, steps->err,
                          "found %s in a step that does not ask; expected it below `ask: name` "
                          "only; after `do` the next step follows, or the one that `then` names",
                          target->key.data);
    else if (ok && ask && then)
        ok = yaml_err_key(then, steps->err, "found then in a step that asks; expected yes and no");
    ok = ok && is_step_name(steps, act ? act : ask);
    if (ok)
        manifest->steps[manifest->step_count++] = (struct step){
            .kind = act ? STEP_DO : STEP_ASK,
            .name = mem_copy(act ? act->text : ask->text),
            .title = mem_text(settings_text(settings, "title")),
            .line = at->line,
        };
    settings_free(settings);
    return ok;
}

/* Where `yes`, `no` or `then` of step `from` leads to.  Not said: to the next step, and from the last one nowhere. */
static bool read_target(const struct steps *steps, const struct yaml *at, int from, int *to)
{
    char shown[YAML_SHOWN_MAX];
    const struct manifest *manifest = steps->manifest;
    *to = from + 1 < manifest->step_count ? from + 1 : STEP_STOP;
    if (!at)
        return true;
    struct nearest nearest = nearest_for(at->text);
    for (int i = 0; i < manifest->step_count; i++) {
        const struct step *other = &manifest->steps[i];
        if (slice_is(at->text, other->name)) {
            *to = i;
            return i > from
                   || yaml_err(at, steps->err,
                               "%s: %s stands in line %d, which is not below; expected a later step "
                               "or stop, so that every run ends",
                               at->key.data, yaml_shown(at->text, shown), other->line);
        }
        if (i > from)
            nearest_offer(&nearest, slice_of(other->name));
    }
    nearest_offer(&nearest, slice_of("stop"));
    *to = STEP_STOP;
    return slice_is(at->text, "stop")
           || yaml_err(at, steps->err, "%s: there is no step %s%s", at->key.data, yaml_shown(at->text, shown),
                       nearest_text(&nearest, "later steps"));
}

bool manifest_steps(struct manifest *manifest, const struct yaml *steps, struct err *err)
{
    struct steps check = {manifest, err};
    if (!steps)
        return true;
    if (steps->kind != YAML_LIST || !steps->first)
        return yaml_err(steps, err,
                        "steps: found %s; expected a list such as `- do: find_site`; a flow with "
                        "one function `run` has no steps at all",
                        steps->kind == YAML_LIST ? "an empty list" : yaml_found(steps));
    int count = 0;
    for (const struct yaml *item = steps->first; item; item = item->next)
        if (++count > STEPS_MAX)
            return yaml_err(item, err, "steps: found more than %d; allowed are %d", STEPS_MAX, STEPS_MAX);
    manifest->steps = mem_zero((size_t)count * sizeof manifest->steps[0]);
    for (const struct yaml *item = steps->first; item; item = item->next)
        if (!read_step(&check, item))
            return false;
    int at = 0;
    for (const struct yaml *item = steps->first; item; item = item->next, at++) {
        struct step *step = &manifest->steps[at];
        bool is_ask = step->kind == STEP_ASK;
        if (!read_target(&check, yaml_get(item, is_ask ? "yes" : "then"), at, &step->yes)
            || !read_target(&check, yaml_get(item, is_ask ? "no" : "then"), at, &step->no))
            return false;
    }
    return true;
}
