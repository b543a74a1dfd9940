package jobs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What the fields must be, in the words of their problems.
const (
	mustBeJobName         = "must be 1 to 128 letters, digits, '-' or '_'"
	mustBeJobID           = "must be 1 to 64 letters, digits, '-' or '_'"
	mustBeContainerName   = "must be 1 to 255 letters, digits, '-' or '_'"
	mustBeTaskDefinition  = "must be a family, family:revision or the ARN of a task definition"
	mustBeEnvironmentName = "must be 1 to 255 printable ASCII characters without '=' and spaces"
	mustBeCodePattern     = "must be digits, up to 512 characters, and may end with *"
	mustBePattern         = "must be 1 to 512 printable characters or white space, with * at the end alone"
)

// The limits of texts, in characters.
const (
	patternMax = 512
	// scheduleARNMax and scheduledTimeMax are generous: the schedule's name and its group's are up to 64 characters each.
	// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
	scheduleARNMax   = 1224
	scheduledTimeMax = 64
	// tagsMax leaves ten of ECS's 50 tags to the deployment.
	tagsMax     = 40
	tagKeyMax   = 128
	tagValueMax = 256
)

// reservedPrefixes are the environment names that a request must not set: the SDK's and ECS's own variables, ours, and
// those that make the dynamic linker load other code.
var reservedPrefixes = []string{"AWS_", "ECS_", "SPOTBATCH_", "LD_"}

// taskDefinitionPattern: a family, a revision, an ARN; the first group is the family. Its length is no part of it, for {1,255}
// would take longer to compile than everything else that happens when a function starts.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
var taskDefinitionPattern = regexp.MustCompile(
	`^(?:arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:task-definition/)?([A-Za-z0-9_-]+)(?::[1-9][0-9]{0,9})?$`)

// familyMax is the length of a family, of letters, digits, '-' and '_'.
const familyMax = 255

func validTaskDefinition(text string) bool {
	parts := taskDefinitionPattern.FindStringSubmatch(text)
	return parts != nil && len(parts[1]) <= familyMax
}

func validJobName(text string) bool       { return validName(text, 128) }
func validContainerName(text string) bool { return validName(text, 255) }

// ValidID reports whether text is a jobId: 1-64 letters, digits, '-' and '_'.
func ValidID(text string) bool { return validName(text, 64) }

func validName(text string, longest int) bool {
	return text != "" && len(text) <= longest && !strings.ContainsFunc(text, func(c rune) bool { return !isNameChar(c) })
}

// validAmount: a decimal string without leading zeros, short enough for any arithmetic.
func validAmount(text string) bool {
	return text != "" && len(text) <= 7 && text[0] != '0' && onlyDigits(text)
}

func onlyDigits(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < '0' || c > '9' })
}

// validEnvironmentName takes every name that a container can be given and a program can read: POSIX asks for no more than
// "no '='", and names such as spring.profiles.active are in use.
func validEnvironmentName(text string) bool {
	return text != "" && len(text) <= 255 &&
		!strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == '=' })
}

// validCodePattern: digits, optionally ended by an asterisk.
// https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
func validCodePattern(text string) bool {
	return text != "" && len(text) <= patternMax && onlyDigits(strings.TrimSuffix(text, "*"))
}

// validPattern: AWS Batch documents letters, digits, '.', ':' and white space, with an asterisk at the end alone, yet the
// reasons of ECS hold brackets, slashes and quotes as well; all that can be printed is taken.
// https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
func validPattern(text string) bool {
	return text != "" && utf8.RuneCountInString(text) <= patternMax &&
		!strings.Contains(strings.TrimSuffix(text, "*"), "*") &&
		!strings.ContainsFunc(text, func(c rune) bool { return notPrintable(c) && !unicode.IsSpace(c) })
}

// unsubstituted reports a keyword of EventBridge Scheduler that was not replaced by its value.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
func unsubstituted(text string) bool { return strings.Contains(text, "<aws.") }

func notPrintable(c rune) bool { return !unicode.IsPrint(c) }

// tagProblem checks a tag's key or value by ECS's rules: length, letters, digits, spaces and + - = . _ : / @, and no
// prefix "aws:" in any case. It never quotes the text.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html
func tagProblem(what, text string, shortest, longest int) string {
	switch n := utf8.RuneCountInString(text); {
	case n < shortest || n > longest:
		return fmt.Sprintf("%s must be %d to %d characters", what, shortest, longest)
	case strings.ContainsFunc(text, notTagChar):
		return what + " must be letters, digits, spaces and + - = . _ : / @"
	case len(text) >= 4 && strings.EqualFold(text[:4], "aws:"):
		return what + " must not begin with aws:, which is reserved"
	}
	return ""
}

// notTagChar is the complement of the pattern of an ECS tag, [\p{L}\p{Z}\p{N}_.:/=+\-@].
func notTagChar(c rune) bool {
	return !unicode.In(c, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", c)
}
