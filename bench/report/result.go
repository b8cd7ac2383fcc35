// Package report is what a run of the bench gave and how it is shown: as text, as JSON, as a page with plots, and
// beside another run. It is pure: it measures nothing and opens nothing.
package report

import "time"

// Result is what one run of a scenario gave; --json prints it. Fields that a scenario does not have are left out.
// Times are in microseconds unless a name says otherwise.
type Result struct {
	Format   int       `json:"format"`         // of this document; Format below
	Scenario string    `json:"scenario"`       // broadcast, rooms, churn, slow, or "soak " and one of these; idle, handshakes, storm, million
	Name     string    `json:"name,omitempty"` // of the server, as --name gave it
	Began    time.Time `json:"began"`
	URL      []string  `json:"url"`
	Settings []Setting `json:"settings,omitempty"` // as asked for, in the order of the flags
	Machine  Machine   `json:"machine"`
	Workers  int       `json:"workers,omitempty"` // client processes; 1: this one

	Conns    int     `json:"conns,omitempty"`
	Rooms    int     `json:"rooms,omitempty"`
	Senders  int     `json:"senders,omitempty"`
	InFlight int     `json:"in_flight,omitempty"` // a closed loop of so many messages
	Rate     float64 `json:"rate,omitempty"`      // an open loop of so many messages a second of all senders together
	Payload  int     `json:"payload,omitempty"`
	Seconds  float64 `json:"seconds,omitempty"` // measured

	Sent        uint64  `json:"sent,omitempty"`
	Acked       uint64  `json:"acked,omitempty"`       // of these, where the server acknowledges
	Deliveries  uint64  `json:"deliveries,omitempty"`  // within the measured time
	PerSecond   float64 `json:"per_second,omitempty"`  // deliveries, or handshakes
	Latency     *Spread `json:"latency,omitempty"`     // from the planned instant
	Raw         *Spread `json:"latency_raw,omitempty"` // from the instant of sending: blind to what held the sender up
	Connect     *Spread `json:"connect,omitempty"`     // from connect to the accepted upgrade
	ConnectRate float64 `json:"connect_per_second,omitempty"`
	LateMicros  float64 `json:"late_us,omitempty"` // by how much the loader was behind its plan, at worst

	ClientCPU  float64 `json:"client_cpu"`                  // cores, all workers together
	ClientBusy float64 `json:"client_busy"`                 // the busiest worker's share of its core
	ClientEach float64 `json:"client_bytes_each,omitempty"` // user memory of the workers by connection
	ServerCPU  float64 `json:"server_cpu,omitempty"`        // cores
	ServerEach float64 `json:"server_us_each,omitempty"`    // CPU per delivery

	Memory   *Memory   `json:"memory,omitempty"`
	Fairness *Fairness `json:"fairness,omitempty"`
	Storm    *Storm    `json:"storm,omitempty"`
	Churn    *Churn    `json:"churn,omitempty"`
	Slow     *Slow     `json:"slow,omitempty"`
	Drift    *Drift    `json:"drift,omitempty"`
	Evicted  *Evicted  `json:"evicted,omitempty"`

	Memberships *Memberships `json:"memberships,omitempty"`
	Resume      *Resume      `json:"resume,omitempty"`

	Flood *Result `json:"flood,omitempty"` // the large room beside the small ones

	Faults  Faults   `json:"faults"`
	Notes   []string `json:"notes,omitempty"` // every reason to distrust the run
	Samples []Sample `json:"samples,omitempty"`
}

// Format is the version of the document that this package writes.
const Format = 1

// Setting is one flag of the run.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Spread is a distribution of times.
type Spread struct {
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
	Mean  float64 `json:"mean,omitempty"`
	Count int64   `json:"count"`
	// Curve is the value at rising percentiles, denser towards 100, for a plot.
	Curve []Point `json:"curve,omitempty"`
}

// Point is a value at a percentile.
type Point struct {
	Percentile float64 `json:"p"`
	Value      float64 `json:"v"`
}

// Sample is one interval of the run, about a second. Rates are of that interval. A field that is unknown is 0.
type Sample struct {
	At         float64 `json:"at"` // its end, seconds since the measuring began; below 0 while connecting and warming up
	Seconds    float64 `json:"seconds"`
	Open       int     `json:"open"`       // connections
	Sent       float64 `json:"sent"`       // a second
	Deliveries float64 `json:"deliveries"` // a second
	P50        float64 `json:"p50,omitempty"`
	P99        float64 `json:"p99,omitempty"`
	Max        float64 `json:"max,omitempty"`
	ClientCPU  float64 `json:"client_cpu,omitempty"` // cores
	ServerCPU  float64 `json:"server_cpu,omitempty"` // cores
	ServerRSS  int64   `json:"server_rss,omitempty"` // bytes
	ServerFDs  int     `json:"server_fds,omitempty"`
	Batch      float64 `json:"batch,omitempty"`    // deliveries a write, where the server tells
	GCCPU      float64 `json:"gc_cpu,omitempty"`   // share of the server's CPU, where it tells
	GCPause    float64 `json:"gc_pause,omitempty"` // longest known, where it tells
}

// Measured tells whether most of the interval lies within the measuring: the second before its beginning ends a little
// behind it.
func (s Sample) Measured() bool { return s.At > s.Seconds/2 }

// Memory is what connections cost the server and the kernel, by growth between two counts of connections.
type Memory struct {
	From   int     `json:"from"` // connections
	To     int     `json:"to"`
	PSS    float64 `json:"pss"`    // user bytes each, shared pages by their share
	RSS    float64 `json:"rss"`    // user bytes each
	Kernel float64 `json:"kernel"` // slab bytes each, of both ends when the client runs on the same machine
}

// Fairness holds rooms of equal load against each other.
type Fairness struct {
	Rooms     int     `json:"rooms"`
	BestP99   float64 `json:"best_p99"`
	MedianP99 float64 `json:"median_p99"`
	WorstP99  float64 `json:"worst_p99"`
	Worst     int     `json:"worst"` // its number
	// Jain is Jain's index of the rooms' deliveries: 1 when all got the same, 1/n when one got all.
	Jain float64 `json:"jain"`
}

// Memberships is what rooms cost a server, and how it delivers in many of them and in few.
type Memberships struct {
	Count          int        `json:"count"`
	Rooms          int        `json:"rooms"`
	Few            int        `json:"few"`
	JoinsPerSecond float64    `json:"joins_per_second"`
	EachMembership float64    `json:"bytes_each_membership"` // user memory by membership, rooms and all
	EachRoom       float64    `json:"bytes_each_room"`       // user memory by room, its memberships and all
	All            *Delivered `json:"all,omitempty"`         // the load in all rooms
	FewOnly        *Delivered `json:"few_only,omitempty"`    // the same load in few of them
}

// Delivered is a load of some rooms.
type Delivered struct {
	Rooms      int     `json:"rooms"`
	Latency    *Spread `json:"latency"`
	ServerEach float64 `json:"server_us_each,omitempty"` // CPU per delivery
}

// Resume is everybody who comes back at once for what was missed.
type Resume struct {
	Clients     int     `json:"clients"`
	Missed      int     `json:"missed"` // messages of each
	AllCaughtUp float64 `json:"all_caught_up"`
	CaughtUp    *Spread `json:"caught_up"` // from the beginning of the coming back
	Live        *Spread `json:"live"`      // from publish to delivery, of one who had stayed
	Silence     float64 `json:"silence"`   // the longest that the one who had stayed heard nothing
}

// Storm is everybody dropped and coming back at once.
type Storm struct {
	Clients    int            `json:"clients"`
	Back       *Spread        `json:"back"`       // from the drop to the accepted upgrade
	Served     *Spread        `json:"served"`     // from the drop to the first message
	AllBack    float64        `json:"all_back"`   // 0: some were not
	AllServed  float64        `json:"all_served"` // 0: some were not
	Attempts   int            `json:"attempts"`
	Refused    map[string]int `json:"refused,omitempty"`
	PeakCPU    float64        `json:"peak_cpu,omitempty"`    // cores
	PeakMemory int64          `json:"peak_memory,omitempty"` // bytes of RSS
}

// Churn is connections that come and go while others talk.
type Churn struct {
	PerSecond float64 `json:"per_second"` // reached
	Wanted    float64 `json:"wanted"`
	Cycles    uint64  `json:"cycles"`
}

// Slow is what became of the slow readers; Latency and Faults of the Result are of the others.
type Slow struct {
	Readers int            `json:"readers"`
	Rate    int            `json:"rate"`              // bytes a second each reads; 0: never
	CutOff  map[string]int `json:"cut_off,omitempty"` // by the reason that the server gave
	Skipped uint64         `json:"skipped"`           // messages that those still connected did not get and were not told of
}

// Drift is the trend over a long run, by least squares over its samples.
type Drift struct {
	Hours float64 `json:"hours"`
	RSS   float64 `json:"rss_bytes_per_hour"`
	FDs   float64 `json:"fds_per_hour"`
	P99   float64 `json:"p99_us_per_hour"`
}

// Evicted is the end of connections that said nothing, by the server's idle limit.
type Evicted struct {
	Clients int            `json:"clients"`
	Late    *Spread        `json:"late"` // after the limit
	Early   int            `json:"early"`
	Codes   map[string]int `json:"codes"`
}

// Faults is what a server did to messages and connections that it should not have done.
type Faults struct {
	Lost         uint64         `json:"lost"`
	Duplicated   uint64         `json:"duplicated"`
	Reordered    uint64         `json:"reordered"`
	Corrupt      uint64         `json:"corrupt"` // changed, cut, or not from this run
	Stray        uint64         `json:"stray"`   // delivered to another room
	Disconnected map[string]int `json:"disconnected,omitempty"`
	// Stalled are connections that got nothing for a second or more while others of their room were served.
	Stalled int `json:"stalled,omitempty"`
}

// Machine names what a run was measured on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory"` // bytes
	Kernel string `json:"kernel"`
	TCP    string `json:"tcp"` // congestion control
	Go     string `json:"go"`
}
