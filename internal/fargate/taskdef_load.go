package fargate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// LoadedTaskDefinition is what became of one file.
type LoadedTaskDefinition struct {
	File       string
	ARN        string
	Registered bool // false: the newest revision says the same
}

// LoadTaskDefinitions registers the task definitions of files, and of all *.json files right in folders: ECS's own JSON,
// as `aws ecs register-task-definition --cli-input-json` takes it or `aws ecs describe-task-definition` prints it. A
// definition that is equal to its family's newest revision is not registered again. If anything is wrong nothing is
// registered, and the error names each file and all its problems.
func (c *Cluster) LoadTaskDefinitions(ctx context.Context, paths ...string) ([]LoadedTaskDefinition, error) {
	files, err := definitionFiles(paths)
	if err != nil {
		return nil, fmt.Errorf("load task definitions: %w", err)
	}
	var wrong []error
	inputs := make([]*ecs.RegisterTaskDefinitionInput, len(files))
	families := map[string]string{}
	for i, file := range files {
		document, err := os.ReadFile(file)
		if err != nil {
			wrong = append(wrong, err) // it names the file
			continue
		}
		in, err := parseDefinition(bytes.TrimPrefix(document, []byte("\ufeff"))) // a byte order mark, as a file of requests may have it
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", file, err))
			continue
		}
		inputs[i] = in
		for _, problem := range checkTaskDefinition(in) {
			wrong = append(wrong, fmt.Errorf("%s: %s", file, problem))
		}
		if family := deref(in.Family); family != "" {
			if other, ok := families[family]; ok {
				// Each start would register both anew, in turns.
				wrong = append(wrong, fmt.Errorf("%s: family: %s is in %s, too", file, family, other))
			}
			families[family] = file
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	loaded := make([]LoadedTaskDefinition, 0, len(files))
	for i, in := range inputs {
		d, registered, err := c.register(ctx, in, true)
		if err != nil {
			return loaded, fmt.Errorf("%s: %w", files[i], err)
		}
		loaded = append(loaded, LoadedTaskDefinition{File: files[i], ARN: d.arn(), Registered: registered})
	}
	return loaded, nil
}

func definitionFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		before := len(files)
		for _, entry := range entries {
			if filepath.Ext(entry.Name()) == ".json" && !entry.IsDir() {
				files = append(files, filepath.Join(path, entry.Name()))
			}
		}
		if len(files) == before { // the wrong folder, as a rule
			return nil, fmt.Errorf("%s holds no file whose name ends with .json", path)
		}
	}
	return files, nil
}

// describedOnly are the keys of describe-task-definition's output that are no input.
var describedOnly = []string{
	"taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities",
	"registeredAt", "registeredBy", "deregisteredAt", "deleteRequestedAt",
}

func parseDefinition(document []byte) (*ecs.RegisterTaskDefinitionInput, error) {
	var described struct {
		TaskDefinition map[string]json.RawMessage `json:"taskDefinition"`
		Tags           json.RawMessage            `json:"tags"`
	}
	if json.Unmarshal(document, &described) == nil && described.TaskDefinition != nil {
		for _, key := range describedOnly {
			delete(described.TaskDefinition, key)
		}
		if described.Tags != nil {
			described.TaskDefinition["tags"] = described.Tags
		}
		document = encodeJSON(described.TaskDefinition)
	}
	in := &ecs.RegisterTaskDefinitionInput{}
	if err := decodeShape(document, in); err != nil {
		return nil, err
	}
	return in, nil
}
