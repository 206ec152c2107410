#!/usr/bin/env escript
%%! +sbwt none +sbwtdcpu none +sbwtdio none
%% Lookups in a table of Erlang's ets, talked to as contender.h says.
%%
%%     lookups-ets KEYS
%%
%% Which key is next is found outside the time that counts, since Erlang would take longer for that
%% than for the lookup. When another program had the core can't be seen from here: so what counts is
%% the median of many short runs, which leaves out the collector of garbage as well.
-mode(compile).

-define(CHUNK, 256).
-define(MASK, 16#ffffffffffffffff).

main([Count]) ->
    All = list_to_integer(Count),
    Table = ets:new(keys, [set, public, {read_concurrency, true}, {write_concurrency, true}]),
    Keys = [key(Number) || Number <- lists:seq(0, All - 1)],
    [ets:insert(Table, {Key, value(Key, 0)}) || Key <- Keys],
    %% What lies here no collection of garbage copies.
    persistent_term:put(keys, list_to_tuple(Keys)),
    io:put_chars("ready\n"),
    contend(Table, All, none).

contend(Table, All, Writer) ->
    case io:get_line("") of
        eof -> halt(0);
        Line -> contend(Table, All, told(Table, All, Writer, string:lexemes(Line, " \n")))
    end.

told(Table, All, none, ["write", "1"]) ->
    Began = now_ns(),
    Writer = spawn_link(fun() -> write(Table, All, 0) end),
    io:put_chars("on\n"),
    {Writer, Began};
told(_, _, {Writer, Began}, ["write", "0"]) ->
    Writer ! {stop, self()},
    Written = receive {written, Count} -> Count end,
    io:format("~.1f~n", [Written * 1.0e9 / (now_ns() - Began)]),
    none;
told(Table, _, Writer, ["get", "get", Span, Threads, Ms]) ->
    Get = fun(Until) -> get_for(Table, list_to_integer(Span), Until, []) end,
    Found = together(list_to_integer(Threads), list_to_integer(Ms), Get),
    Medians = [at(0.5, sorted(Runs)) || Runs <- Found],
    io:format("~.2f 1~n", [lists:sum(Medians) / (length(Medians) * ?CHUNK)]),
    Writer;
told(Table, _, Writer, ["tail", "get", Span, Ms]) ->
    Tail = fun(Until) -> tail_for(Table, list_to_integer(Span), Until, []) end,
    [Samples] = together(1, list_to_integer(Ms), Tail),
    Sorted = sorted(Samples),
    io:format("~b ~b ~b ~b 1~n", [at(Share, Sorted) || Share <- [0.5, 0.99, 0.999, 1]]),
    Writer.

sorted(Samples) ->
    list_to_tuple(lists:sort(Samples)).

at(Share, Sorted) ->
    element(1 + trunc((tuple_size(Sorted) - 1) * Share), Sorted).

%% What so many processes come to that do the same until the time is up.
together(Threads, Ms, Do) ->
    Until = now_ns() + Ms * 1000000,
    Own = self(),
    Ids = [spawn_link(fun() -> Own ! {self(), Do(Until)} end) || _ <- lists:seq(1, Threads)],
    [receive {Id, Found} -> Found end || Id <- Ids].

get_for(Table, Span, Until, Runs) ->
    Keys = some_keys(Span, ?CHUNK, []),
    Began = now_ns(),
    look_up(Table, Keys),
    Ended = now_ns(),
    case Ended < Until of
        true -> get_for(Table, Span, Until, [Ended - Began | Runs]);
        false -> [Ended - Began | Runs]
    end.

look_up(_, []) ->
    ok;
look_up(Table, [Key | Keys]) ->
    [{_, <<Key:16/binary, _/binary>>}] = ets:lookup(Table, Key),
    look_up(Table, Keys).

tail_for(Table, Span, Until, Samples) ->
    More = lists:foldl(fun(Key, Some) ->
        Began = now_ns(),
        look_up(Table, [Key]),
        [now_ns() - Began | Some]
    end, Samples, some_keys(Span, ?CHUNK, [])),
    case now_ns() < Until of
        true -> tail_for(Table, Span, Until, More);
        false -> More
    end.

write(Table, All, Written) ->
    [ets:insert(Table, {Key, value(Key, Written)}) || Key <- some_keys(All, ?CHUNK, [])],
    receive
        {stop, From} -> From ! {written, Written + ?CHUNK}
    after 0 ->
        write(Table, All, Written + ?CHUNK)
    end.

%% Copies: that they are near has its price here, and not where they are looked up.
some_keys(_, 0, Keys) ->
    Keys;
some_keys(Span, Count, Keys) ->
    Key = element(rand:uniform(Span), persistent_term:get(keys)),
    some_keys(Span, Count - 1, [binary:copy(Key) | Keys]).

key(Number) ->
    <<(mixed(Number)):64/native, Number:64/native>>.

value(Key, Serial) ->
    <<Key/binary, Serial:64/native, Serial:64/native>>.

mixed(Number) ->
    First = (Number + 16#9e3779b97f4a7c15) band ?MASK,
    Second = (First bxor (First bsr 30)) * 16#bf58476d1ce4e5b9 band ?MASK,
    Third = (Second bxor (Second bsr 27)) * 16#94d049bb133111eb band ?MASK,
    Third bxor (Third bsr 31).

now_ns() ->
    erlang:monotonic_time(nanosecond).
