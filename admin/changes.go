package admin

import "time"

// Kick says who is sent away. What is given must all fit; something has to be given.
type Kick struct {
	ID      string `json:"id,omitempty"`
	User    string `json:"user,omitempty"`
	Room    string `json:"room,omitempty"`
	Address string `json:"address,omitempty"` // an address, or a network
	Code    int    `json:"code,omitempty"`    // of the Close frame; 0 is 4403, at which clients stay away
	Reason  string `json:"reason,omitempty"`  // its text
	DryRun  bool   `json:"dry_run,omitempty"` // only count
}

// closeTextBytesMax is what a Close frame has room for (RFC 6455 section 5.5).
const closeTextBytesMax = 123

func (k Kick) check() error {
	switch {
	case k.ID == "" && k.User == "" && k.Room == "" && k.Address == "":
		return Refuse("it does not say whom: give one or more of id, user, room and address")
	case k.Code != 0 && k.Code != 1000 && k.Code != 1008 && (k.Code < 4000 || k.Code > 4999):
		return Refuse("code %d does not say that somebody was sent away; allowed: 1000, 1008 and 4000 to 4999", k.Code)
	case len(k.Reason) > closeTextBytesMax:
		return Refuse("the reason has %d bytes; a Close frame has room for %d", len(k.Reason), closeTextBytesMax)
	}
	if k.Address != "" {
		_, err := ParseNetwork(k.Address)
		return err
	}
	return nil
}

// Kicked is how many a kick was for.
type Kicked struct {
	Matched int `json:"matched"`
	Kicked  int `json:"kicked"` // 0 in a dry run
}

// Say is a system message, to a room, to everybody, or to one connection.
type Say struct {
	Room string `json:"room,omitempty"`
	All  bool   `json:"all,omitempty"`
	ID   string `json:"id,omitempty"`
	Text string `json:"text"`
}

func (s Say) check() error {
	to := 0
	for _, given := range []bool{s.Room != "", s.All, s.ID != ""} {
		if given {
			to++
		}
	}
	if to != 1 {
		return Refuse("it does not say to whom: give one of room, all and id")
	}
	if s.Text == "" {
		return Refuse("there is no text to say")
	}
	return nil
}

// Said is how many a system message was for.
type Said struct {
	Heard int `json:"heard"`
}

// Drain says how the server is to stop. What is not given is as it was set.
type Drain struct {
	Delay *Span `json:"delay,omitempty"` // not ready, and still accepting
	Time  *Span `json:"time,omitempty"`  // over which connections are closed
}

// windowMax is the longest that a drain or a shed may be told to take, as in the settings.
const windowMax = Span(time.Hour)

func (d Drain) check() error {
	for name, span := range map[string]*Span{"delay": d.Delay, "time": d.Time} {
		if span != nil && *span > windowMax {
			return Refuse("%s %s is too long; allowed: up to %s", name, time.Duration(*span), time.Duration(windowMax))
		}
	}
	return nil
}

// Shed says how many connections are sent to other servers, the idle ones first, and how fast.
type Shed struct {
	Share float64 `json:"share,omitempty"` // of those connected, above 0, at most 1
	To    *int    `json:"to,omitempty"`    // as many as are to stay
	Count int     `json:"count,omitempty"`
	Over  *Span   `json:"over,omitempty"` // none: a minute
	Stop  bool    `json:"stop,omitempty"` // end the shed that is on
}

// ShedOver is how long a shed takes unless it is told.
const ShedOver = Span(time.Minute)

func (s Shed) check() error {
	given := 0
	for _, is := range []bool{s.Share != 0, s.To != nil, s.Count != 0, s.Stop} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return Refuse("it does not say how many: give one of share, to, count and stop")
	case !(s.Share >= 0 && s.Share <= 1):
		return Refuse("share %v is not above 0 and at most 1", s.Share)
	case s.To != nil && *s.To < 0 || s.Count < 0:
		return Refuse("there cannot be fewer connections than none")
	case s.Over != nil && *s.Over > windowMax:
		return Refuse("over %s is too long; allowed: up to %s", time.Duration(*s.Over), time.Duration(windowMax))
	}
	return nil
}

// The states of a Progress, in their order.
const (
	Waiting = "waiting" // not ready, and still accepting
	Moving  = "moving"  // connections are being closed
	Done    = "done"
	Stopped = "stopped" // before it was done
)

// Progress is how far a drain or a shed is.
type Progress struct {
	State    string  `json:"state"`
	Total    int     `json:"total"`            // connections that it is about
	Left     int     `json:"left"`             // of these, how many have not gone
	Estimate Seconds `json:"estimate_seconds"` // until it is done
	Joined   bool    `json:"joined,omitempty"` // it was on already
	Error    string  `json:"error,omitempty"`  // why it was stopped
}

// Over reports whether there is no more to come.
func (p Progress) Over() bool { return p.State == Done || p.State == Stopped }

// Change is a setting that was read anew and is another.
type Change struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Reloaded is what reading the settings anew has changed.
type Reloaded struct {
	Changed  []Change `json:"changed"`
	Restart  []Change `json:"needs_restart"` // these stay as they are until then
	Warnings []string `json:"warnings,omitempty"`
}
