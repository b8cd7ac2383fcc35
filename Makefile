# make run       a server on :8080; it keeps what is said in a folder of yours
# make test      what the README says; needs a C compiler for the race detector
# make lint      vet, staticcheck, gofmt
# make recorded  what recorded rooms cost, several minutes on an idle machine
# make numbers   throng beside a bare server, several minutes on an idle machine
# make peers     throng beside other people's servers, half an hour on one
# make promise   what throng promises, while nodes, the store and the network fail; PROMISE=500 is for the night
# make million   a million connections, a quarter of an hour; CONNS=100000 is the short form
# make docs      writes into README.md, docs/OPERATIONS.md and docs/PROTOCOL.md what is copied there from the code
# make ci        what .ci/run does on a clean machine

GO       ?= go
FUZZTIME ?= 30s
SOAKTIME ?= 2m
COUNT    ?= 1
BENCH    ?= .
CONNS    ?= 1000000
PROMISE  ?= 50

# A folder and a fuzzer in it; each is a target of its own.
FUZZERS := \
	FuzzBytes \
	FuzzFile \
	bench/FuzzFragments \
	bench/FuzzFrame \
	bench/report/FuzzRead \
	broker/FuzzAck \
	broker/FuzzNodeMessage \
	broker/FuzzRoomToken \
	chat/FuzzRoomOf \
	chat/FuzzSession \
	chat/token/FuzzClaims \
	chat/token/FuzzKeys \
	chat/token/FuzzVerify \
	protocol/FuzzDecodePath \
	protocol/FuzzDecoder \
	protocol/FuzzDecoderAgainstGobwas \
	protocol/FuzzDeflateRoundTrip \
	protocol/FuzzIPv6 \
	protocol/FuzzNegotiateDeflate \
	protocol/FuzzOrigins \
	protocol/FuzzParse \
	protocol/FuzzParseProxy \
	protocol/FuzzScanHead \
	protocol/FuzzUTF8Stream \
	protocol/envelope/FuzzRecord \
	protocol/envelope/FuzzRequest \
	protocol/envelope/FuzzStoredBytes \
	timeouts/FuzzWheel

.PHONY: run build test race lint fuzz bench numbers recorded peers million restart promise soak long docs ci clean $(FUZZERS)

run:
	$(GO) run .

# A name of its own, not the list of its sources: go build knows better what is out of date.
build:
	$(GO) build -trimpath -o throng .

test:
	$(GO) test -race -shuffle=on ./...

# The same without the cache and several times over, for what shows only now and then.
race:
	$(GO) test -race -shuffle=on -count=5 ./...

# The peers are a module of their own.
lint:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	cd bench/peers && $(GO) vet ./... && "$$(cd ../.. && $(GO) tool -n staticcheck)" ./...
	@unformatted="$$(gofmt -l .)"; if [ -n "$$unformatted" ]; then echo "gofmt -w is needed for:" $$unformatted; exit 1; fi

fuzz: $(FUZZERS)

# -fuzz takes one package and one fuzzer at a time.
$(FUZZERS):
	$(GO) test -run '^$$' -fuzz '^$(@F)$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$(@D)

# Compare two of them with: go tool benchstat old.txt new.txt
bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count=$(COUNT) ./...

# The server under test is the built binary: go run would stand between it and the signals.
numbers: build
	./throng bench numbers

recorded: build
	./throng bench recorded

peers: build
	./throng bench peers

million: build
	./throng bench million --conns $(CONNS)

# A rolling restart of three nodes behind HAProxy with 15,000 clients; about five minutes.
restart:
	THRONG_RESTART=15000 THRONG_RESTART_DRAIN=60s $(GO) test -run '^TestRollingRestart' -count=1 -v -timeout 20m .

# PROMISE is how many faults each of the tests makes in a row. As root, for network namespaces; THRONG_SEED=N repeats a run that failed.
promise:
	THRONG_PROMISE=$(PROMISE) THRONG_REQUIRE_ALL=1 $(GO) test -race -run '^TestPromise' -count=1 -v -timeout 300m .

soak:
	THRONG_SOAK=$(SOAKTIME) $(GO) test -run '^TestSoak' -count=1 -v -timeout 30m .

long:
	THRONG_LONG=1 $(GO) test -race -shuffle=on -count=1 -timeout 60m ./...
	$(MAKE) soak SOAKTIME=2m
	$(MAKE) fuzz FUZZTIME=2m

# The packages stand before -update: behind it go test would take one for its value.
docs:
	$(GO) test -count=1 -run '^Test(Readme|OperationsTables)' . -update
	$(GO) test -count=1 -run '^TestProtocol(Errors|Messages)' ./protocol/envelope -update

ci:
	.ci/run

clean:
	rm -f throng *.test *.prof *.pprof *.out
