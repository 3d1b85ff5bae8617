package toxiproxy

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
)

// An APIError is an error with its status, as Toxiproxy's clients read it.
type APIError struct {
	Message    string `json:"error"`
	StatusCode int    `json:"status"`
}

func (e *APIError) Error() string { return e.Message }

// because is the error with what was wrong in particular.
func (e *APIError) because(what string) *APIError {
	return &APIError{e.Message + ": " + what, e.StatusCode}
}

// Toxiproxy's errors.
var (
	errBadRequestBody     = &APIError{"bad request body", http.StatusBadRequest}
	errMissingField       = &APIError{"missing required field", http.StatusBadRequest}
	errProxyNotFound      = &APIError{"proxy not found", http.StatusNotFound}
	errProxyAlreadyExists = &APIError{"proxy already exists", http.StatusConflict}
	errInvalidStream      = &APIError{"stream was invalid, can be either upstream or downstream", http.StatusBadRequest}
	errInvalidToxicType   = &APIError{"invalid toxic type", http.StatusBadRequest}
	errToxicAlreadyExists = &APIError{"toxic already exists", http.StatusConflict}
	errToxicNotFound      = &APIError{"toxic not found", http.StatusNotFound}
)

// asAPI is the error with its status; one that has none is the server's, in the words of package net where it is about an
// address, as Toxiproxy's are.
func asAPI(err error) *APIError {
	if e, ok := errors.AsType[*APIError](err); ok {
		return e
	}
	text := err.Error()
	if op, ok := errors.AsType[*net.OpError](err); ok {
		text = op.Error()
	}
	return &APIError{text, http.StatusInternalServerError}
}

// fail answers with an error. http.Error calls the JSON plain text and ends it with a new line, and so does Toxiproxy.
func fail(w http.ResponseWriter, err error) {
	e := asAPI(err)
	body, _ := json.Marshal(e) // a string and a number
	http.Error(w, string(body), e.StatusCode)
}
