# Headgate: `make help` lists what there is to type.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
LUA     := lua5.4

PACKAGES  := lua5.4 librabbitmq libcurl yaml-0.1 lmdb libuv libmicrohttpd jansson libssl libcrypto
WARNINGS  := -Wall -Wextra -Werror
OPTIMISE  ?= -O2
SANITIZE  ?=
# _FORTIFY_SOURCE needs optimisation, and gets in the way of the sanitizers.
HARDEN     = $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2 -fstack-protector-strong)
# := would ask pkg-config before `setup` has installed what it asks for.
PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES))
PKG_LIBS   = $(shell pkg-config --libs $(PACKAGES))
CFLAGS     = -std=c11 -D_GNU_SOURCE -g $(OPTIMISE) $(WARNINGS) $(HARDEN) $(SANITIZE) -pthread -I. $(PKG_CFLAGS) -MMD -MP
LDFLAGS    = $(SANITIZE) -pthread -Wl,-E
LIBS       = $(PKG_LIBS) -lm

SOURCES := $(shell find core adapters -name '*.c')
MAIN    := core/cli/main.c
OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(MAIN),$(SOURCES))) $(BUILD)/scripts.o
SCRIPTS := $(sort $(filter-out %/types.lua,$(wildcard scripts/headgate/*.lua)))
UNITS   := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
TOOLS   := $(patsubst tests/tools/%.c,$(BUILD)/tools/%,$(wildcard tests/tools/*.c)) $(BUILD)/tools/faulty.so
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/*.c))
BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

.PHONY: all setup demo test torture bench fuzz fuzzers lint format asan tsan install help clean tools units
.DEFAULT_GOAL := all
.SECONDARY:

all: setup $(BUILD)/headgate ## build build/headgate

setup: ## install the Debian packages that are missing (silent when there are none)
	@scripts/setup

demo: all tools ## play the whole story on this machine: broker, flows, alerts, mails, a crash (KEEP=1 leaves it running)
	@BUILD=$(BUILD) KEEP=$(KEEP) examples/demo/run

test: all tools units ## run every test; ends with "N passed, N failed"
	@BUILD=$(BUILD) tests/run $(T)

bench: all tools $(BENCHES) ## measure, each figure beside its yardstick
	@scripts/setup nginx-light wrk
	@BUILD=$(BUILD) tests/bench/run

torture: all tools ## kill it, starve it, cut it off, a hundred times over; prints the table (twenty minutes)
	@BUILD=$(BUILD) tests/torture

fuzz: ## feed anything to what reads from outside, a minute each (FUZZ_SECONDS=N)
	@$(MAKE) --no-print-directory fuzzers BUILD=build/fuzz CC=clang OPTIMISE=-O1 \
	  WARNINGS="$(WARNINGS) -Wno-missing-field-initializers" \
	  SANITIZE="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
	@tests/fuzz/run $(T)

lint: setup ## clang-format, cppcheck, luacheck
	@scripts/lint

format: ## rewrite the C sources as .clang-format says
	@git ls-files '*.c' '*.h' | xargs clang-format -i

asan: ## the same tests under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory test BUILD=build/asan OPTIMISE=-O1 \
	  SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"

tsan: ## the same tests under ThreadSanitizer
	@$(MAKE) --no-print-directory test BUILD=build/tsan OPTIMISE=-O1 SANITIZE="-fsanitize=thread"

install: all ## install to $(DESTDIR)$(PREFIX)
	install -D -m 755 $(BUILD)/headgate $(DESTDIR)$(PREFIX)/bin/headgate
	install -d $(DESTDIR)$(PREFIX)/share/headgate
	cp -R scripts/headgate scripts/rules flows examples $(DESTDIR)$(PREFIX)/share/headgate/

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

clean: ## remove what was built
	rm -rf $(BUILD)

tools: setup $(TOOLS)
units: setup $(UNITS)
fuzzers: setup $(FUZZERS)

$(BUILD)/headgate: $(BUILD)/$(MAIN:.c=.o) $(OBJECTS)
	@echo "link  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# For tests/unit/faults.h: what our own code asks of these goes through the test.
$(BUILD)/unit/test_faults_%: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(OBJECTS)
	@mkdir -p $(@D)
	@echo "link  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

# Preloaded into a daemon under test, so no sanitizer is linked into it.
$(BUILD)/tools/faulty.so: tests/preload/faulty.c | setup
	@mkdir -p $(@D)
	@echo "link  $@"
	@$(CC) -std=c11 -D_GNU_SOURCE -O1 $(WARNINGS) -fPIC -shared -o $@ $< -ldl

$(BUILD)/tools/%: $(BUILD)/tests/tools/%.o
	@mkdir -p $(@D)
	@echo "link  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(OBJECTS)
	@mkdir -p $(@D)
	@echo "link  $@"
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# Of the benches only this one is Headgate itself: the others are what it is measured by.
$(BUILD)/bench/pile: $(OBJECTS)

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o
	@mkdir -p $(@D)
	@echo "link  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/%.o: %.c | setup
	@mkdir -p $(@D)
	@echo "cc    $<"
	@$(CC) $(CFLAGS) -c -o $@ $<

# Lua that is part of the program; see core/lua/scripts.h
$(BUILD)/scripts.c: scripts/embed.lua $(SCRIPTS) | setup
	@mkdir -p $(@D)
	@$(LUA) scripts/embed.lua $@ $(SCRIPTS)

$(BUILD)/scripts.o: $(BUILD)/scripts.c
	@$(CC) $(CFLAGS) -c -o $@ $<

-include $(OBJECTS:.o=.d) $(wildcard $(BUILD)/tests/*/*.d) $(BUILD)/$(MAIN:.c=.d)
