# make run       a server on :8080
# make test      what the README says; needs a C compiler for the race detector
# make lint      vet, staticcheck, gofmt
# make numbers   the table of docs/BENCHMARKS.md, several minutes on an idle machine
# make docs      writes into README.md what is copied there from the code
# make ci        what .ci/run does on a clean machine

GO       ?= go
FUZZTIME ?= 30s
SOAKTIME ?= 2m
COUNT    ?= 1
BENCH    ?= .

# A folder and a fuzzer in it; each is a target of its own.
FUZZERS := \
	FuzzBytes \
	FuzzFile \
	bench/FuzzFragments \
	bench/FuzzFrame \
	bench/report/FuzzRead \
	chat/FuzzRoomOf \
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
	timeouts/FuzzWheel

.PHONY: run build test race lint fuzz bench numbers soak long docs ci clean $(FUZZERS)

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

lint:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@unformatted="$$(gofmt -l .)"; if [ -n "$$unformatted" ]; then echo "gofmt -w is needed for:" $$unformatted; exit 1; fi

fuzz: $(FUZZERS)

# -fuzz takes one package and one fuzzer at a time.
$(FUZZERS):
	$(GO) test -run '^$$' -fuzz '^$(@F)$$' -fuzztime $(FUZZTIME) ./$(@D)

# Compare two of them with: go tool benchstat old.txt new.txt
bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count=$(COUNT) ./...

# The server under test is the built binary: go run would stand between it and the signals.
numbers: build
	./throng bench numbers

soak:
	THRONG_SOAK=$(SOAKTIME) $(GO) test -run '^TestSoak' -count=1 -v -timeout 30m .

long:
	THRONG_LONG=1 $(GO) test -race -shuffle=on -count=1 -timeout 60m ./...
	$(MAKE) soak SOAKTIME=2m
	$(MAKE) fuzz FUZZTIME=2m

docs:
	$(GO) test -count=1 -run '^TestReadme' -update .

ci:
	.ci/run

clean:
	rm -f throng *.test *.prof *.pprof *.out
