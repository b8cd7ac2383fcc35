package chat

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// caught keeps a panic on a goroutine that serves no single client from ending the process, and everybody with it: what was being done is given up, and
// logged with its stack. It is deferred.
func caught(where string) {
	if p := recover(); p != nil {
		slog.Error("panic in the rooms; what it was about is given up", slog.String("where", where), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
	}
}
