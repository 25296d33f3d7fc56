package rest

import (
	"bufio"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// maxParts is how many parts a form may have.
const maxParts = 20

// readForm reads the parts of a multipart form that limits names, each at most
// so many bytes. Others are skipped.
func readForm(r *http.Request, limits map[string]int64) (map[string][]byte, error) {
	parts, _, err := readFile(r, limits)
	return parts, err
}

// readFile is readForm for a form with a file in it, whose name it returns as it
// was sent: with the folders that it must not have.
func readFile(r *http.Request, limits map[string]int64) (parts map[string][]byte, fileName string, err error) {
	_, params, err := web.MediaType(r, "multipart/form-data")
	if err != nil {
		return nil, "", err
	}
	total := int64(1 << 20) // the parts' heads, and parts that are skipped
	for _, n := range limits {
		total += n
	}
	if r.ContentLength > total {
		return nil, "", web.TooLarge(total)
	}
	limited := &io.LimitedReader{R: r.Body, N: total}
	malformed := func() error {
		if limited.N <= 0 {
			return web.TooLarge(total)
		}
		return badForm("The form is malformed or incomplete.")
	}
	body := bufio.NewReader(limited)
	boundary := params["boundary"]
	if boundary == "" {
		if boundary, err = firstBoundary(body); err != nil {
			return nil, "", err
		}
	}
	parts = map[string][]byte{}
	form := multipart.NewReader(body, boundary)
	for range maxParts {
		part, err := form.NextRawPart()
		if err == io.EOF { // itself: one that is wrapped is a form without its end
			return parts, fileName, nil
		}
		if err != nil {
			return nil, "", malformed()
		}
		name := part.FormName()
		limit, wanted := limits[name]
		if !wanted {
			continue
		}
		if _, twice := parts[name]; twice {
			return nil, "", badForm("A part of the form is there twice.")
		}
		content, err := io.ReadAll(io.LimitReader(part, limit+1))
		if err != nil {
			return nil, "", malformed()
		}
		if int64(len(content)) > limit {
			return nil, "", web.TooLarge(limit)
		}
		parts[name] = content
		if _, words, err := mime.ParseMediaType(part.Header.Get("Content-Disposition")); err == nil && words["filename"] != "" {
			fileName = words["filename"]
		}
	}
	return nil, "", badForm("The form has too many parts.")
}

func badForm(text string) error {
	return sluice.Errorf(sluice.Invalid, "body.form", "%s", text)
}
