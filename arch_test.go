// Package spotbatch_test checks the rules of docs/architecture.md: which package may import which, and who may read the
// environment, the clock and the dice.
package spotbatch_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/spotbatch/spotbatch/"
	sdk    = "github.com/aws/aws-sdk-go-v2/"
	smithy = "github.com/aws/smithy-go"
)

// mayImport lists all that a package may import beside the standard library. A name stands for its subpackages as well,
// but for our own packages, which are named one by one. Every package under pkg/ has a line.
var mayImport = map[string][]string{
	"pkg/jobs":          {},
	"pkg/jobs/jobstest": {"pkg/jobs", "github.com/google/go-cmp"},
	"pkg/jobs/sqlite":   {"pkg/jobs", "internal/sqlitedb", "modernc.org/sqlite"},
	"pkg/jobs/dynamo":   {"pkg/jobs", sdk + "aws", sdk + "service/dynamodb", smithy},
	"pkg/spot":          {"pkg/jobs"},
	"pkg/spot/ecs":      {"pkg/jobs", "pkg/spot", sdk + "aws", sdk + "service/ecs", smithy},
	"internal/engine":   {"pkg/jobs", "pkg/spot"},
	"internal/price":    {"pkg/jobs"},
}

// mayBeImported lists who may import a package; what is not under one of these may not. No one at all: nil.
var mayBeImported = map[string][]string{
	sdk + "service/ecs":      {"pkg/spot/ecs", "internal/fargate"},
	sdk + "service/dynamodb": {"pkg/jobs/dynamo"},
	"internal/lambdatest":    {"internal/lambdatest", "integration"}, // nothing that is not a test
	"functions":              nil,
	"cmd":                    nil,
}

// never lists what a package and all that is under it may not import: direct, or also through others.
var never = []struct {
	pkg     string
	through bool
	imports []string
}{
	{"internal/fargate", false, []string{"pkg/jobs", "pkg/spot/ecs", "internal/engine"}}, // pkg/spot for ParseSize alone
	{"functions", true, []string{
		"pkg/jobs/sqlite", "internal/sqlitedb", "internal/local", "internal/fargate", "modernc.org/sqlite",
		"internal/aws/direct", "internal/aws/logs", "internal/doctor", sdk + "config",
	}},
}

// under reports whether a package is another one or below it.
func under(pkg, top string) bool { return pkg == top || strings.HasPrefix(pkg, top+"/") }

func underAny(pkg string, tops []string) bool {
	return slices.ContainsFunc(tops, func(top string) bool { return under(pkg, top) })
}

// listed is one package as go list tells of it; our own paths are relative to the module.
type listed struct {
	ImportPath    string
	Imports, Deps []string
}

// badEdges tells every import of a package that no rule allows.
func badEdges(p listed) []string {
	var bad []string
	report := func(imported, why string) { bad = append(bad, p.ImportPath+" imports "+imported+": "+why) }
	may, bound := mayImport[p.ImportPath]
	if !bound && under(p.ImportPath, "pkg") {
		bad = append(bad, p.ImportPath+": has no line in mayImport")
	}
	for _, imported := range p.Imports {
		ours := underAny(imported, []string{"pkg", "internal", "functions", "cmd"})
		standard := !ours && !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")
		if bound && !standard && !slices.Contains(may, imported) && (ours || !underAny(imported, may)) {
			report(imported, "it may import the standard library and "+fmt.Sprint(may))
		}
		for target, who := range mayBeImported {
			if under(imported, target) && !underAny(p.ImportPath, who) {
				report(imported, "only "+fmt.Sprint(who)+" may")
			}
		}
	}
	for _, rule := range never {
		all := p.Imports
		if rule.through {
			all = p.Deps
		}
		for _, imported := range all {
			if under(p.ImportPath, rule.pkg) && underAny(imported, rule.imports) {
				report(imported, "nothing under "+rule.pkg+" may")
			}
		}
	}
	slices.Sort(bad)
	return bad
}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		for _, list := range [][]string{p.Imports, p.Deps} {
			for i := range list {
				list[i] = strings.TrimPrefix(list[i], module)
			}
		}
		for _, bad := range badEdges(p) {
			t.Error(bad)
		}
	}
}

// readers are the names by which the environment, the clock and the dice are read, and where that is forbidden.
var readers = []struct {
	imported  string
	names     string // "*" = all, "^ a b" = all but these
	forbidden func(pkg, name string) bool
}{
	{"os", "Getenv LookupEnv Environ ExpandEnv", outsideMain},
	{sdk + "config", "LoadDefaultConfig", outsideMain},
	{"time", "Now Since Until After AfterFunc Tick NewTimer NewTicker", insidePkg},
	{"time", "Sleep", func(pkg, _ string) bool { return insidePkg(pkg, "") && pkg != "pkg/jobs/jobstest" }}, // it waits for stores
	{"math/rand", "^ New NewSource NewZipf Rand Source Source64 Zipf", insidePkg},
	{"math/rand/v2", "^ New NewPCG NewChaCha8 NewZipf Rand Source PCG ChaCha8 Zipf", insidePkg},
	{"crypto/rand", "*", insidePkg},
}

func outsideMain(_, name string) bool { return name != "main" }
func insidePkg(pkg, _ string) bool    { return under(pkg, "pkg") }

func named(names, name string) bool {
	if all, but := strings.CutPrefix(names, "^"); but {
		return !slices.Contains(strings.Fields(all), name)
	}
	return names == "*" || slices.Contains(strings.Fields(names), name)
}

// scan is one package being looked at. Only names are resolved: what it imports is not loaded.
type scan struct {
	pkg, name string // its path in the module, and what its files call it
	fset      *token.FileSet
	uses      map[*ast.Ident]types.Object
	bad       []string
}

// badCode tells every place of a package where a rule of this file is broken.
func badCode(pkg string, fset *token.FileSet, files []*ast.File) []string {
	s := &scan{pkg: pkg, name: files[0].Name.Name, fset: fset, uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: empty{}, Error: func(error) {}} // nothing of an empty package is found: no matter
	_, _ = config.Check(pkg, fset, files, &types.Info{Uses: s.uses})
	for _, file := range files {
		for _, i := range file.Imports {
			if i.Name != nil && i.Name.Name == "." {
				s.report(i.Pos(), "a dot import hides what is called")
			}
		}
		ast.Inspect(file, s.node)
	}
	return s.bad
}

// empty imports every package without loading it.
type empty struct{}

func (empty) Import(imported string) (*types.Package, error) {
	name := path.Base(imported)
	if dir := path.Dir(imported); len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		name = path.Base(dir)
	}
	p := types.NewPackage(imported, name)
	p.MarkComplete()
	return p, nil
}

func (s *scan) report(at token.Pos, format string, args ...any) {
	position := s.fset.Position(at)
	s.bad = append(s.bad, fmt.Sprintf("%s:%d: %s", filepath.ToSlash(position.Filename), position.Line, fmt.Sprintf(format, args...)))
}

func (s *scan) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		s.selector(n)
	case *ast.FuncDecl:
		if n.Name.Name == "init" && n.Recv == nil {
			s.report(n.Pos(), "an init function: main wires")
		}
	case *ast.AssignStmt:
		for _, target := range n.Lhs {
			s.changed(target)
		}
	case *ast.IncDecStmt:
		s.changed(n.X)
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			s.changed(n.Key)
			s.changed(n.Value)
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			s.taken(n.X)
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, f.Name) {
			s.changed(n.Args[0])
		}
	}
	return true
}

// selector reports a reader, called or handed on.
func (s *scan) selector(n *ast.SelectorExpr) {
	of, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	imported, ok := s.uses[of].(*types.PkgName)
	if !ok {
		return
	}
	for _, r := range readers {
		if imported.Imported().Path() == r.imported && named(r.names, n.Sel.Name) && r.forbidden(s.pkg, s.name) {
			s.report(n.Pos(), "%s.%s may not be used in %s: it is handed in by main", r.imported, n.Sel.Name, s.pkg)
		}
	}
}

// changed reports a target that is, or is part of, a variable of a package, this one's or another's.
func (s *scan) changed(target ast.Expr) {
	if root := s.global(target); root != nil {
		s.report(target.Pos(), "%s is a package's variable and is changed", root.Name)
	}
}

// taken reports that a package's variable itself may be changed through its address.
func (s *scan) taken(target ast.Expr) {
	if id, ok := target.(*ast.Ident); ok && s.global(id) != nil {
		s.report(target.Pos(), "%s is a package's variable and its address is taken", id.Name)
	}
}

// global finds the package variable at the root of an expression, or nil.
func (s *scan) global(target ast.Expr) *ast.Ident {
	for {
		switch e := target.(type) {
		case *ast.Ident:
			v, ok := s.uses[e].(*types.Var)
			if ok && v.Parent() != nil && v.Parent() == v.Pkg().Scope() {
				return e
			}
			return nil
		case *ast.SelectorExpr:
			if of, ok := e.X.(*ast.Ident); ok {
				if _, ok := s.uses[of].(*types.PkgName); ok {
					return e.Sel
				}
			}
			target = e.X
		case *ast.IndexExpr:
			target = e.X
		case *ast.SliceExpr:
			target = e.X
		case *ast.StarExpr:
			target = e.X
		case *ast.ParenExpr:
			target = e.X
		default:
			return nil
		}
	}
}

func TestEnvironmentClockDiceAndStateAreWhereTheyBelong(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	packages := map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		hidden := name != "." && strings.ContainsAny(d.Name()[:1], "._")
		switch {
		case err != nil:
			return err
		case d.IsDir() && (hidden || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || hidden || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		pkg := filepath.ToSlash(filepath.Dir(name))
		packages[pkg] = append(packages[pkg], file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		for _, bad := range badCode(pkg, fset, packages[pkg]) {
			t.Error(bad)
		}
	}
}

func TestForbiddenEdgesAreCaught(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p    listed
		want string // in the only problem; "" = none
	}{
		"jobs with a library":            {listed{ImportPath: "pkg/jobs", Imports: []string{"context", "example.com/x"}}, "pkg/jobs imports example.com/x"},
		"jobs with the policy":           {listed{ImportPath: "pkg/jobs", Imports: []string{"pkg/spot"}}, "pkg/jobs imports pkg/spot"},
		"jobs with the standard library": {listed{ImportPath: "pkg/jobs", Imports: []string{"context", "encoding/json"}}, ""},
		"a store with its driver":        {listed{ImportPath: "pkg/jobs/sqlite", Imports: []string{"pkg/jobs", "internal/sqlitedb"}}, ""},
		"a store with the policy":        {listed{ImportPath: "pkg/jobs/sqlite", Imports: []string{"pkg/spot"}}, "pkg/jobs/sqlite imports pkg/spot"},
		"a store with the other":         {listed{ImportPath: "pkg/jobs/dynamo", Imports: []string{"pkg/jobs/sqlite"}}, "pkg/jobs/dynamo imports"},
		"the policy with ECS":            {listed{ImportPath: "pkg/spot", Imports: []string{"pkg/spot/ecs"}}, "pkg/spot imports pkg/spot/ecs"},
		"the launcher with ECS's types":  {listed{ImportPath: "pkg/spot/ecs", Imports: []string{sdk + "service/ecs/types", smithy + "/transport/http"}}, ""},
		"the engine with a store":        {listed{ImportPath: "internal/engine", Imports: []string{"pkg/jobs/sqlite"}}, "internal/engine imports pkg/jobs/sqlite"},
		"the engine with the launcher":   {listed{ImportPath: "internal/engine", Imports: []string{"pkg/spot/ecs"}}, "internal/engine imports pkg/spot/ecs"},
		"a new package without a rule":   {listed{ImportPath: "pkg/jobs/redis"}, "no line in mayImport"},
		"the stand-in with jobs":         {listed{ImportPath: "internal/fargate/process", Imports: []string{"pkg/jobs"}}, "nothing under internal/fargate may"},
		"the stand-in with sizes":        {listed{ImportPath: "internal/fargate", Imports: []string{"pkg/spot", sdk + "service/ecs"}, Deps: []string{"pkg/jobs"}}, ""},
		"ECS's SDK elsewhere":            {listed{ImportPath: "internal/local", Imports: []string{sdk + "service/ecs/types"}}, "only [pkg/spot/ecs internal/fargate] may"},
		"DynamoDB's SDK elsewhere":       {listed{ImportPath: "functions/watch", Imports: []string{sdk + "service/dynamodb"}}, "only [pkg/jobs/dynamo] may"},
		"a function with SQLite":         {listed{ImportPath: "functions/watch", Deps: []string{"internal/intake", "internal/sqlitedb"}}, "nothing under functions may"},
		"an import of a function":        {listed{ImportPath: "internal/local", Imports: []string{"functions/watch"}}, "only [] may"},
		"an import of the command line":  {listed{ImportPath: "internal/local", Imports: []string{"cmd/spotbatch"}}, "only [] may"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantOne(t, badEdges(c.p), c.want)
		})
	}
}

func TestForbiddenCodeIsCaught(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pkg, source string
		want        string // in the only problem; "" = none
	}{
		"the environment in a package":      {"internal/engine", `import "os"; var x = os.Getenv("X")`, "os.Getenv"},
		"the environment handed on":         {"pkg/spot", `import "os"; func f() any { return os.LookupEnv }`, "os.LookupEnv"},
		"the environment by another name":   {"internal/local", `import env "os"; func f() { env.Environ() }`, "os.Environ"},
		"the environment in a main package": {"cmd/spotbatch", `import "os"; func f() string { return os.Getenv("X") }`, ""},
		"AWS configuration in a package":    {"internal/aws", `import "` + sdk + `config"; func f() { config.LoadDefaultConfig(nil) }`, "LoadDefaultConfig"},
		"AWS configuration in a function":   {"functions/submit", `import "` + sdk + `config"; func f() { config.LoadDefaultConfig(nil) }`, ""},
		"the clock called":                  {"pkg/jobs", `import "time"; func f() any { return time.Now() }`, "time.Now"},
		"the clock as a default":            {"pkg/spot/ecs", `import "time"; type c struct{ now any }; func f() c { return c{now: time.Now} }`, "time.Now"},
		"waiting":                           {"pkg/spot", `import "time"; func f() { time.Sleep(1) }`, "time.Sleep"},
		"waiting for a store in its suite":  {"pkg/jobs/jobstest", `import "time"; func f() { time.Sleep(1) }`, ""},
		"a method that is named like it":    {"pkg/spot", `type c struct{}; func (c) Now() {}; func f(time c) { time.Now() }`, ""},
		"the clock outside pkg":             {"internal/local", `import "time"; func f() any { return time.Now() }`, ""},
		"global dice":                       {"pkg/spot", `import "math/rand/v2"; func f() int { return rand.N(6) }`, "math/rand/v2.N"},
		"older global dice":                 {"pkg/spot", `import "math/rand"; var x = rand.Int()`, "math/rand.Int"},
		"seeded dice":                       {"pkg/spot", `import "math/rand/v2"; func f() any { return rand.New(rand.NewPCG(1, 2)) }`, ""},
		"secret dice":                       {"pkg/jobs", `import "crypto/rand"; func f() string { return rand.Text() }`, "crypto/rand.Text"},
		"a dot import":                      {"pkg/jobs", `import . "time"`, "dot import"},
		"an init function":                  {"internal/local", `func init() {}`, "init function"},
		"a method that is named init":       {"internal/local", `type c struct{}; func (c) init() {}`, ""},
		"a map that is a table":             {"pkg/spot", `var t = map[string]int{"a": 1}; func f() int { return t["a"] }`, ""},
		"a map that is written":             {"pkg/spot", `var t = map[string]int{}; func f() { t["a"] = 1 }`, "t is a package's variable"},
		"a map that is counted in":          {"pkg/spot", `var t = map[string]int{}; func f() { t["a"]++ }`, "t is a package's variable"},
		"a map that is emptied":             {"pkg/spot", `var t = map[string]int{}; func f() { delete(t, "a") }`, "t is a package's variable"},
		"a slice that grows":                {"pkg/spot", `var l []int; func f() { l = append(l, 1) }`, "l is a package's variable"},
		"an element's field":                {"pkg/spot", `var l []struct{ a int }; func f() { l[0].a = 1 }`, "l is a package's variable"},
		"a variable whose address is taken": {"pkg/spot", `var n int; func f() *int { return &n }`, "its address is taken"},
		"another package's variable":        {"pkg/spot", `import "os"; func f() { os.Args = nil }`, "Args is a package's variable"},
		"a local variable of the same name": {"pkg/spot", `var l []int; func f() { l := []int{1}; l[0] = 2 }`, ""},
		"a field of the same name":          {"pkg/spot", `var l []int; type c struct{ l []int }; func (x *c) f() { x.l = nil }`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			name := "x"
			if underAny(c.pkg, []string{"cmd", "functions"}) {
				name = "main"
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, "x.go", "package "+name+"; "+c.source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			wantOne(t, badCode(c.pkg, fset, []*ast.File{file}), c.want)
		})
	}
}

// wantOne fails unless there is exactly one problem that holds the text, or none where the text is empty.
func wantOne(t *testing.T, problems []string, want string) {
	t.Helper()
	if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !strings.Contains(problems[0], want)) {
		t.Errorf("got %q, want %q", problems, want)
	}
}
