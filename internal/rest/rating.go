package rest

import (
	"net/http"
	"strconv"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// ratingDocument is how a user likes an API: 1 to 5; 0: they did not say.
type ratingDocument struct {
	ID    string `json:"ratingId"`
	APIID string `json:"apiId"`
	User  string `json:"ratedBy"`
	Stars int    `json:"rating"`
}

func ratingOf(r sluice.Rating) ratingDocument {
	return ratingDocument{r.ID, r.APIID, r.User, r.Stars}
}

// ratingList is a page of ratings beside what they come to.
type ratingList struct {
	Average string `json:"avgRating"`
	Own     int    `json:"userRating"`
	list[ratingDocument]
}

// average writes an average rating; "0.0": nobody said anything.
func average(stars float64) string { return strconv.FormatFloat(stars, 'f', 1, 64) }

func (s *Server) listRatings(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	found, err := s.plane.Ratings(r.Context(), r.PathValue("apiId"), page)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, ratingList{average(found.Average), found.Own, listOf(mapped(found.List, ratingOf), paginate(r, page, found.Total))})
}

func (s *Server) getUserRating(w http.ResponseWriter, r *http.Request) error {
	found, err := s.plane.UserRating(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	return tagged(w, r, found.RowVersion, ratingOf(found))
}

func (s *Server) putUserRating(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	var q struct {
		Stars *int `json:"rating"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	if q.Stars == nil {
		return sluice.Errorf(sluice.Invalid, "rating.stars", "Say how many stars: 1 to 5, or 0 for none.").At("rating")
	}
	stored, err := s.plane.Rate(r.Context(), r.PathValue("apiId"), *q.Stars, version)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, ratingOf(stored))
}

func (s *Server) deleteUserRating(_ http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	_, err = s.plane.Rate(r.Context(), r.PathValue("apiId"), 0, version)
	return err
}
