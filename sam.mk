# What `sam build` calls for each function (Metadata: BuildMethod: makefile), with the folder for its result in ARTIFACTS_DIR.
# The runtime provided.al2023 starts the program `bootstrap`; lambda.norpc leaves out the protocol of the retired go1.x
# runtime, nethttpomithttp2 HTTP/2, which none of the services that the functions call speaks.

LAMBDA_BUILD = CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -tags lambda.norpc,nethttpomithttp2 -trimpath -buildvcs=false \
	-ldflags '-s -w' -o '$(ARTIFACTS_DIR)/bootstrap'

.PHONY: build-SubmitFunction build-WatchFunction
build-SubmitFunction:
	@$(LAMBDA_BUILD) ./functions/submit

build-WatchFunction:
	@$(LAMBDA_BUILD) ./functions/watch
