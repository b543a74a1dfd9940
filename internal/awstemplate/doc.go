// Package awstemplate reads template.yaml the way AWS would: what the SAM transform makes of it, its intrinsic functions
// resolved for given parameters, its IAM policies evaluated, its event patterns matched.
//
// It is responsible for the questions that tests ask about the deployment: may this function make this call, does this rule
// pass this event, what is this queue's dead-letter queue. It refuses what it does not understand, an intrinsic function, a
// condition operator, a comparison of a pattern, with an error instead of a guess, and it never talks to AWS. Only tests call
// it: its own, which hold the template to its rules, and those of the functions, which compare the calls they make with
// testdata/calls.json.
//
// The invariant it keeps: what it says is about the template as it is. testdata/transformed.json carries the hash of the
// template.yaml that it was made from (integration/template/transform), and a test fails if they differ.
package awstemplate
