package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/alecthomas/kong"

	"throng/admin"
)

// reading is what the command line, the environment and the file say when they are looked at once more.
type reading struct {
	config   *Config
	settings *settings
	wrong    []string // what keeps it from being taken, as check-config says it
	warnings []string
}

// reread makes out the settings of a server anew. The command line and the environment are those of its start; the file may be another.
func reread(args, environ []string) reading {
	var cmds commands
	s, helped := newSettings(environ), false
	if _, err := newParser(&cmds, s, &helped, kong.Writers(io.Discard, io.Discard)).Parse(args); err != nil {
		return reading{wrong: []string{err.Error()}}
	}
	c := &cmds.Serve.Config
	r := reading{config: c, settings: s, wrong: s.wrong(c)}
	r.warnings = append(s.warnings, doubts(c)...)
	return r
}

// difference is a setting that two configurations have different values for.
type difference struct {
	admin.Change
	live  bool // it can change while the server runs
	field int  // of Config
}

// differences lists them in the order of Config.
func differences(before, after *Config) []difference {
	var found []difference
	names, a, b := settingNames(), reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
	for i, name := range names {
		from, to := yamlValue(a.Field(i).Interface()), yamlValue(b.Field(i).Interface())
		if from != to {
			_, live := a.Type().Field(i).Tag.Lookup("live")
			found = append(found, difference{admin.Change{Name: name, From: from, To: to}, live, i})
		}
	}
	return found
}

// settingNames returns the names of Config's fields, as kong makes them.
var settingNames = sync.OnceValue(func() []string {
	var cmds commands
	helped := false
	parser := newParser(&cmds, newSettings(nil), &helped, kong.Writers(io.Discard, io.Discard))
	names := make([]string, reflect.TypeFor[Config]().NumField())
	for i := range names {
		field := reflect.ValueOf(&cmds.Serve.Config).Elem().Field(i)
		for _, flag := range parser.Model.DefaultCmd.Flags {
			if flag.Target.CanAddr() && flag.Target.Addr().Pointer() == field.Addr().Pointer() {
				names[i] = flag.Name
			}
		}
	}
	return names
})

// Reload reads the settings anew and puts those in force that can change while the server runs: all of them, or none.
func (o *operator) Reload(who admin.Caller) (admin.Reloaded, error) {
	o.reloading.Lock()
	defer o.reloading.Unlock()
	o.systemd.reloading()
	defer func() { o.systemd.ready(o.summary()) }()
	done, err := o.reload()
	if err != nil {
		o.log.Error("the settings were read anew and refused", slog.String("by", string(who)), slog.String("error", whole(err)))
		return done, err
	}
	o.log.Info("the settings were read anew", slog.String("by", string(who)), slog.Any("changed", changeTexts(done.Changed)),
		slog.Any("needs_restart", changeTexts(done.Restart)))
	for _, w := range done.Warnings {
		o.log.Warn(w)
	}
	return done, nil
}

// reload does it. Everything that can be refused is looked at before anything is changed.
func (o *operator) reload() (done admin.Reloaded, err error) {
	read := o.reread()
	if len(read.wrong) > 0 {
		return done, refused(read.wrong)
	}
	running := o.config()
	next := *running
	done = admin.Reloaded{Changed: []admin.Change{}, Restart: []admin.Change{}, Warnings: read.warnings}
	for _, d := range differences(running, read.config) {
		if !d.live {
			done.Restart = append(done.Restart, d.Change)
			continue
		}
		done.Changed = append(done.Changed, d.Change)
		reflect.ValueOf(&next).Elem().Field(d.field).Set(reflect.ValueOf(read.config).Elem().Field(d.field))
	}
	// What cannot change now stays, and has to go together with what does.
	if wrong := read.settings.conflicts(&next); len(wrong) > 0 {
		return done, refused(append(wrong, "together with what stays as it is until a restart"))
	}
	key, err := adminKey(&next)
	if err == nil && o.private != nil {
		err = o.private.CheckKey(key)
	}
	if err == nil {
		_, err = tokensOf(&next) // nothing is taken back once something has changed
	}
	if err == nil {
		err = o.node.SetLimits(engineLimits(&next))
	}
	if err == nil && o.tokens != nil {
		err = o.tokens.Reload()
	}
	if err != nil {
		return done, refused([]string{withoutPackage(err)})
	}
	if o.changeKey(key) && running.AdminKeyFile == next.AdminKeyFile {
		done.Changed = append(done.Changed, admin.Change{Name: "admin-key-file", From: "the key that it held", To: "another"})
	}
	o.level.Set(logLevel(&next))
	o.adopt(&next, done.Restart)
	return done, nil
}

// changeKey puts the key of the private port in force, and reports whether it is another.
func (o *operator) changeKey(key string) bool {
	if o.private != nil {
		o.private.SetKey(key)
	}
	another := o.key != key
	o.key = key
	return another
}

// refused tells what keeps settings from being taken.
func refused(wrong []string) error {
	r := &admin.Refusal{Status: http.StatusUnprocessableEntity, Text: "nothing has changed: " + wrong[0]}
	if len(wrong) > 1 {
		r.Details = wrong[1:]
	}
	return r
}

// whole is a refusal with its details, for the log.
func whole(err error) string {
	text := err.Error()
	if r := (*admin.Refusal)(nil); errors.As(err, &r) {
		text = strings.Join(append([]string{text}, r.Details...), "; ")
	}
	return text
}

func changeTexts(changes []admin.Change) []string {
	texts := make([]string, 0, len(changes))
	for _, c := range changes {
		texts = append(texts, fmt.Sprintf("%s: %s -> %s", c.Name, strings.TrimSpace(c.From), strings.TrimSpace(c.To)))
	}
	return texts
}
