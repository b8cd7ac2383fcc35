package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"throng/engine"
)

// The operations page names metrics, settings, files and commands. All of them have to be there.

// TestOperationsMetrics: each of throng's metrics on the page is told by a node, and each reason is the name of an end or of a refusal.
func TestOperationsMetrics(t *testing.T) {
	page := readText(os.DirFS("."), "docs/OPERATIONS.md")
	n := startNode(t)
	there := map[string]bool{}
	for sample := range n.figures() {
		name, _, _ := strings.Cut(sample, "{")
		there[name] = true
	}
	for _, name := range regexp.MustCompile(`\b(throng|go|process)_[a-z0-9_]+\b`).FindAllString(page, -1) {
		if !there[name] {
			t.Errorf("no node has the metric %s", name)
		}
	}

	var reasons []string
	for _, r := range engine.Reasons() {
		reasons = append(reasons, r.String())
	}
	for _, m := range regexp.MustCompile(`reason=~?"([^"]+)"`).FindAllStringSubmatch(page, -1) {
		for _, pattern := range strings.Split(m[1], `\|`) {
			name := regexp.MustCompile("^" + pattern + "$")
			if !slices.ContainsFunc(reasons, name.MatchString) {
				t.Errorf("no end is called %s", pattern)
			}
		}
	}
}

// TestOperationsSettings: each setting that the page or a file of deploy/ names is one.
func TestOperationsSettings(t *testing.T) {
	var names []string
	for _, f := range settingFlags(t) {
		names = append(names, "--"+f.Name)
	}
	for file, pattern := range map[string]string{
		"docs/OPERATIONS.md": "`(--[a-z][a-z0-9-]+)", "deploy/haproxy.cfg": `(--[a-z][a-z0-9-]+)`, "deploy/nginx.conf": `(--[a-z][a-z0-9-]+)`,
		"deploy/sysctl.conf": `(--[a-z][a-z0-9-]+)`, "deploy/throng.service": `(--[a-z][a-z0-9-]+)`,
	} {
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(readText(os.DirFS("."), file), -1)
		if len(found) == 0 {
			t.Errorf("%s names no setting", file)
		}
		for _, m := range found {
			if m[1] != "--config" && !slices.Contains(names, m[1]) {
				t.Errorf("%s: there is no %s", file, m[1])
			}
		}
	}
}

// TestOperationsFiles: each file of deploy/ is on the page, and each that is on the page is there.
func TestOperationsFiles(t *testing.T) {
	page := readText(os.DirFS("."), "docs/OPERATIONS.md")
	entries, err := os.ReadDir("deploy")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.Contains(page, "(../deploy/"+e.Name()+")") {
			t.Errorf("the page does not say what deploy/%s is for", e.Name())
		}
	}
	for _, name := range regexp.MustCompile(`\bdeploy/[a-z.]+\b`).FindAllString(page, -1) {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

// TestOperationsInAMinute: the line that makes HAProxy's file for one machine makes one that HAProxy takes, with one node.
func TestOperationsInAMinute(t *testing.T) {
	program, file := installed(t, "haproxy"), filepath.Join(t.TempDir(), "haproxy.cfg")
	line := regexp.MustCompile(`(?m)^sed .* > /etc/haproxy/haproxy\.cfg$`).FindString(readText(os.DirFS("."), "docs/OPERATIONS.md"))
	if line == "" {
		t.Fatal("there is no such line")
	}
	line = strings.ReplaceAll(line, "/etc/haproxy/haproxy.cfg", file)
	if said, err := exec.Command("/bin/sh", "-c", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, said)
	}
	if said, err := exec.Command(program, "-c", "-dW", "-f", file).CombinedOutput(); err != nil {
		t.Errorf("haproxy -c: %v\n%s", err, said)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if servers := regexp.MustCompile(`(?m)^ *server .*`).FindAllString(string(text), -1); len(servers) != 1 || !strings.Contains(servers[0], " 127.0.0.1:8080") {
		t.Errorf("its nodes are %q", servers)
	}
}
