package client_test

import (
	"context"
	"fmt"

	"throng/client"
)

// An echo: it answers whatever others say in a room, through restarts of the server.
func Example() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{URL: "wss://chat.example/", Name: "echo"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	tea, err := c.Join(ctx, "tea", client.JoinOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for event := range c.Events(ctx) {
		switch e := event.(type) {
		case client.Message:
			if e.User == c.User() {
				continue
			}
			if _, err := tea.Publish(ctx, client.Text("you said: "+e.Content.String())); err != nil {
				fmt.Println(err)
			}
		case client.Gap:
			fmt.Println("messages are lost:", e.From, e.To)
		case client.State:
			fmt.Println(e.Phase, e.Why, e.Err)
		}
	}
}
