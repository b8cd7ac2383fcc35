package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// configFileBytesMax is a hundred times the longest sensible configuration: a --config that names a log or a device by mistake is refused early.
const configFileBytesMax = 1 << 20

// sourceKind is one of the places a value may come from. What is at its default has no source.
type sourceKind string

const (
	fromFlag        sourceKind = "flag"
	fromEnvironment sourceKind = "environment"
	fromFile        sourceKind = "file"
)

// source says where a value was given: --idle-timeout, THRONG_IDLE_TIMEOUT, or config.yaml:3.
type source struct {
	kind  sourceKind
	place string
}

func (s source) String() string {
	if s.kind == "" {
		return "default"
	}
	return string(s.kind) + " " + s.place
}

// given is the text of a value, not yet understood; more than one text only where a list was written.
type given struct {
	source
	texts []string
	why   string // why it cannot be a value at all: a mapping, or nothing
}

// settings decides what each setting is: it reads the environment and the file, answers kong when no flag was given (kong asks resolvers before it
// looks at its own idea of the environment, so kong is told of no variables, and the order of precedence is the order in Resolve), and decodes all
// values, from wherever they are, so that a bad one is called bad in the same words. A bad value does not end the parse: check-config tells them all.
type settings struct {
	environ  map[string]string
	file     map[string]given
	from     map[string]source
	problems []string
	warnings []string
	loaded   bool // kong calls its hooks several times
}

func newSettings(environ []string) *settings {
	s := &settings{environ: map[string]string{}, file: map[string]given{}, from: map[string]source{}}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, envPrefix) {
			s.environ[name] = value
		}
	}
	return s
}

const envPrefix = "THRONG_"

// envName is the environment variable of a setting.
func envName(setting string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// Validate implements kong.Resolver; load has looked at all there is.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver: the value of a setting for which there was no flag.
func (s *settings) Resolve(_ *kong.Context, path *kong.Path, flag *kong.Flag) (any, error) {
	if path.Command == nil || !hasSettings(path.Command) {
		return nil, nil
	}
	if text, ok := s.environ[envName(flag.Name)]; ok {
		return given{source: source{fromEnvironment, envName(flag.Name)}, texts: []string{text}}, nil
	}
	if value, ok := s.file[flag.Name]; ok {
		return value, nil
	}
	return nil, nil
}

// hasSettings tells serve and check-config from commands whose flags are only flags.
func hasSettings(command *kong.Node) bool {
	config := command.Target.FieldByName("Config")
	return config.IsValid() && config.Type() == reflect.TypeFor[Config]()
}

// Decode implements kong.Mapper for the fields of Config. What cannot be understood is a problem to be told, and the setting stays at its default.
func (s *settings) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	tag, name := ctx.Value.Tag, ctx.Value.Name
	if target.Addr() == ctx.Value.Target.Addr() { // kong resets the field itself to its default; values are decoded beside it
		token := ctx.Scan.Pop()
		return setValue(target, tag, []string{token.String()})
	}
	value := given{source: source{fromFlag, "--" + name}}
	switch token := ctx.Scan.Peek(); {
	case target.Kind() == reflect.Bool && token.Type != kong.FlagValueToken:
		value.texts = []string{"true"}
	case !token.IsValue():
		return errors.New("needs a value")
	default:
		ctx.Scan.Pop()
		switch v := token.Value.(type) {
		case given:
			value = v
		case bool: // what kong makes of --no-NAME
			value.texts = []string{strconv.FormatBool(v)}
		default:
			value.texts = []string{token.String()}
		}
	}

	err := errors.New(value.why)
	if value.why == "" {
		err = setValue(target, tag, value.texts)
	}
	if err == nil {
		s.from[name] = value.source
		return nil
	}
	place := value.place
	if value.kind == fromFile {
		place += ": " + name
	}
	s.problems = append(s.problems, place+": "+err.Error())
	target.SetZero()
	if !ctx.Value.HasDefault {
		return nil
	}
	return setValue(target, tag, []string{ctx.Value.Default})
}

// load reads the file that the command line or the environment names, and looks for names that mean nothing.
func (s *settings) load(ctx *kong.Context) {
	command := ctx.Selected()
	if s.loaded || command == nil || !hasSettings(command) {
		return
	}
	s.loaded = true
	path, said := s.environ[envName("config")], envName("config")
	var keys, variables []string
	for _, flag := range command.Flags {
		variables = append(variables, envName(flag.Name))
		if flag.Name != "config" {
			keys = append(keys, flag.Name)
			continue
		}
		for _, trace := range ctx.Path {
			if trace.Flag == flag {
				path, said = ctx.FlagValue(flag).(string), "--config"
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.environ)) {
		if !slices.Contains(variables, name) && !fromKubernetes(name, s.environ[name]) {
			s.warnings = append(s.warnings, fmt.Sprintf("unknown environment variable %s is ignored%s", name, didYouMean(name, variables)))
		}
	}
	if path == "" {
		return
	}
	text, err := readConfigFile(path)
	if err != nil {
		s.problems = append(s.problems, said+": "+err.Error())
		return
	}
	s.parseFile(path, text, keys)
}

// kubernetesVariable is the name of what Kubernetes tells each container about each service: one called throng yields THRONG_SERVICE_HOST.
var kubernetesVariable = regexp.MustCompile(`^THRONG_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_.+)?)$`)

// fromKubernetes tells such variables from misspelt settings. Only the value betrays THRONG_PORT: it is tcp://10.0.0.1:8080.
func fromKubernetes(name, value string) bool {
	return kubernetesVariable.MatchString(name) || strings.Contains(value, "://") && strings.HasSuffix(name, "_PORT")
}

func readConfigFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, configFileBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > configFileBytesMax {
		return nil, fmt.Errorf("%s is longer than %s: not a configuration", path, Bytes(configFileBytesMax))
	}
	return text, nil
}

// parseFile takes the settings out of a YAML file. It reads the tree and not Go values, so that 0x10 or 1:30 stay what was written, and lines are
// known.
func (s *settings) parseFile(path string, text []byte, keys []string) {
	wrong := func(line int, format string, args ...any) {
		s.problems = append(s.problems, fmt.Sprintf("%s:%d: %s", path, line, fmt.Sprintf(format, args...)))
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file
			s.problems = append(s.problems, yamlProblem(path, err))
		}
		return
	}
	if err := decoder.Decode(&second); err == nil {
		wrong(second.Line, "a second document; one file holds one configuration")
	} else if !errors.Is(err, io.EOF) {
		s.problems = append(s.problems, yamlProblem(path, err))
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		if root.Tag != "!!null" { // nothing but comments
			wrong(root.Line, "not a list of settings; one \"name: value\" a line is allowed")
		}
		return
	}
	lines := map[string]int{}
	for i := 0; i < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		switch before := lines[key.Value]; {
		case key.Value == "config":
			wrong(key.Line, "config cannot be set in the file itself; allowed: --config or %s", envName("config"))
		case key.Kind != yaml.ScalarNode || !slices.Contains(keys, key.Value):
			wrong(key.Line, "unknown setting %s%s", quoted(key.Value), didYouMean(key.Value, keys))
		case before != 0:
			wrong(key.Line, "%s was already set in line %d; allowed: once", key.Value, before)
		default:
			lines[key.Value] = key.Line
			s.file[key.Value] = fileValue(node, source{fromFile, path + ":" + strconv.Itoa(key.Line)})
		}
	}
}

// fileValue is the text of a value: of a plain one, or of each in a list.
func fileValue(node *yaml.Node, from source) given {
	value, plain := given{source: from}, []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		plain = node.Content
	}
	for _, node := range plain {
		switch {
		case node.Kind != yaml.ScalarNode:
			value.why = "holds more settings; allowed: a plain value or a list of them"
		case node.Tag == "!!null":
			value.why = "has no value; write '' for an empty one, or take the line out"
		default:
			value.texts = append(value.texts, node.Value)
		}
	}
	return value
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlProblem turns a syntax error into our form: file, line, reason.
func yamlProblem(path string, err error) string {
	reason := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", " ")
	if line := yamlLine.FindStringSubmatch(reason); line != nil {
		path, reason = path+":"+line[1], strings.Replace(reason, line[0], "", 1)
	}
	if strings.Contains(reason, "alphabetic or numeric character") {
		reason += `; a bare * has to be quoted: "*"`
	}
	return fmt.Sprintf("%s: not YAML: %s", path, reason)
}
